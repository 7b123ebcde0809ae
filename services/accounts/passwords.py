"""Passwords: argon2id, as argon2-cffi recommends it."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from services.accounts.errors import Refused, TooManyAttempts

SHORTEST: Final = 12
LONGEST: Final = 1024
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else
_GROUPS: Final = 5
_GROUP: Final = 4


class Passwords:
    """Hashes and verifies, a few at once: each takes 64 MiB, and many would take the machine."""

    def __init__(self, hasher: PasswordHasher | None = None, *, at_once: int = 4, patience_seconds: float = 5) -> None:
        self._hasher = hasher or PasswordHasher()
        self._places = BoundedSemaphore(at_once)
        self._patience_seconds = patience_seconds
        self._nobodys = self._hasher.hash(secrets.token_bytes())

    def hash(self, password: str) -> str:
        """Raises `TooManyAttempts` where too many wait."""
        with self._place():
            return self._hasher.hash(_bytes(password))

    def verify(self, password_hash: str | None, password: str) -> bool:
        """False where there is no hash, after the same time. Raises `TooManyAttempts` where too many wait."""
        with self._place():
            try:
                right = self._hasher.verify(password_hash or self._nobodys, _bytes(password))
            except (VerificationError, InvalidHashError):
                return False
        return right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=self._patience_seconds):
            raise TooManyAttempts(1)
        try:
            yield
        finally:
            self._places.release()


def generated() -> str:
    """20 characters in groups of four, 99 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))


def check_new(account: str, password: str) -> None:
    """Raises `Refused` for what somebody should not choose."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refused(f"a password has {SHORTEST} to {LONGEST} characters")
    if password.strip().casefold() == account.casefold():
        raise Refused("a password is not the account's name")


def _bytes(password: str) -> bytes:
    """The same however a keyboard composes its characters."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
