"""How often somebody may try."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from services.accounts.errors import TooManyAttempts
from services.accounts.principal import Principal, Role, Via
from services.settings import load_settings
from services.web.limits import Limits

ADA = Principal("ada", Role.VIEWER, None, Via.SESSION)


def request_from(address: str) -> Request:
    return Request({"type": "http", "client": (address, 1234), "headers": []})


def limits(**settings: Any) -> Limits:
    return Limits(load_settings(**settings))


def test_an_account_is_tried_so_often_from_wherever() -> None:
    made = limits(login_attempts=3, login_minutes=5)
    for number in range(3):
        made.login(request_from(f"192.0.2.{number}"), "ada")
    with pytest.raises(TooManyAttempts) as refusal:
        made.login(request_from("192.0.2.9"), "Ada")
    assert 0 < refusal.value.retry_after <= 300
    made.login(request_from("192.0.2.9"), "bob")


def test_an_address_tries_so_often_whomever() -> None:
    made = limits(login_attempts_per_address=3)
    for number in range(3):
        made.login(request_from("192.0.2.1"), f"person-{number}")
    with pytest.raises(TooManyAttempts):
        made.login(request_from("192.0.2.1"), "another")
    with pytest.raises(TooManyAttempts):
        made.login_from(request_from("192.0.2.1"))
    made.login(request_from("192.0.2.2"), "another")


def test_whoever_knows_the_password_starts_anew() -> None:
    made = limits(login_attempts=2)
    for _ in range(5):
        made.login(request_from("192.0.2.1"), "ada")
        made.logged_in("ada")


def test_wrong_tokens_are_counted_and_right_ones_are_not() -> None:
    made = limits(login_attempts_per_address=2)
    here = request_from("192.0.2.1")
    for _ in range(50):
        made.may_show_token(here)
    for _ in range(2):
        made.may_show_token(here)
        made.wrong_token(here)
    with pytest.raises(TooManyAttempts):
        made.may_show_token(here)
    made.may_show_token(request_from("192.0.2.2"))


def test_requests_are_counted_by_person_and_by_how_they_come() -> None:
    made = limits(requests_per_minute=2)
    for _ in range(2):
        made.request(ADA)
    with pytest.raises(TooManyAttempts) as refusal:
        made.request(ADA)
    assert 0 < refusal.value.retry_after <= 60
    made.request(Principal("ada", Role.VIEWER, None, Via.TOKEN))
    made.request(Principal("bob", Role.VIEWER, None, Via.SESSION))


def test_names_that_somebody_makes_up_do_not_fill_the_memory() -> None:
    made = limits(login_attempts_per_address=10_000)
    buckets = {made._bucket(f"person-{number}") for number in range(200_000)}
    assert 60_000 < len(buckets) <= 65_536
    assert made._bucket("\ud800")
