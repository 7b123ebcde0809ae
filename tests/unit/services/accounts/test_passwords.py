"""Passwords: hashed with argon2id, verified a few at once, and not too easy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from services.accounts import passwords
from services.accounts.errors import Refused, TooManyAttempts
from services.accounts.passwords import Passwords, check_new, generated
from tests.identity import QUICK


def test_the_hash_is_argon2id_with_the_librarys_parameters() -> None:
    made = Passwords().hash("correct horse battery")
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@given(st.text(max_size=50), st.text(max_size=50))
def test_only_the_right_password_is_right(right: str, guess: str) -> None:
    kept = Passwords(QUICK)
    made = kept.hash(right)
    assert kept.verify(made, right)
    assert kept.verify(made, guess) == (passwords._bytes(guess) == passwords._bytes(right))
    assert not kept.verify(None, guess)
    assert not kept.verify("no hash at all", right)


def test_a_password_is_the_same_however_the_keyboard_composes_it() -> None:
    kept = Passwords(QUICK)
    assert kept.verify(kept.hash("cafe\u0301 au lait"), "caf\u00e9 au lait")
    assert kept.verify(kept.hash("\udcff"), "\udcff")


def test_who_waits_for_too_long_is_told_to_come_back() -> None:
    begun, end = Event(), Event()

    class Slow(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:  # noqa: A002  (their name)
            begun.set()
            end.wait(timeout=30)
            return True

    kept = Passwords(Slow(time_cost=1, memory_cost=8, parallelism=1), at_once=1, patience_seconds=0.01)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(kept.verify, "hash", "x")
        assert begun.wait(timeout=30)
        with pytest.raises(TooManyAttempts) as refusal:
            kept.verify("hash", "x")
        assert refusal.value.retry_after == 1
        end.set()
        assert first.result()
    assert kept.verify("hash", "x")


def test_generated_passwords_are_good_enough_and_never_the_same() -> None:
    made = {generated() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_new("ada", password)
        assert len(password.replace("-", "")) == 20


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "x" * 1025, "ada.lovelace.1", " ADA.Lovelace.1 "])
def test_passwords_that_are_too_easy_are_refused_without_being_shown(password: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_new("ada.lovelace.1", password)
    assert not password or password not in str(refusal.value)


def test_twelve_characters_will_do() -> None:
    check_new("ada", "x" * 12)
