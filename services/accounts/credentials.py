"""Secrets that stand for somebody, each 256 random bits. Only their digests are kept.

Unlike passwords they cannot be guessed, so a digest needs neither salt nor a slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

TOKEN_PREFIX: Final = "plt_"  # noqa: S105  (what secret scanners find ours by)
_BYTES: Final = 32
_API_TOKEN: Final = re.compile(TOKEN_PREFIX + r"[A-Za-z0-9_-]{43}", re.ASCII)
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def new_secret() -> str:
    """43 characters that are safe in URLs and cookies."""
    return secrets.token_urlsafe(_BYTES)


def new_api_token() -> str:
    return TOKEN_PREFIX + new_secret()


def is_secret(text: str) -> bool:
    """Whether it has the form of `new_secret`."""
    return _SECRET.fullmatch(text) is not None


def is_api_token(text: str) -> bool:
    """Whether it has the form of `new_api_token`."""
    return _API_TOKEN.fullmatch(text) is not None


def digest(secret: str) -> str:
    """SHA-256, 64 hex digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_token(secret: str) -> str:
    """What a page shows to prove that it could read the answer to this cookie. It does not give the cookie away."""
    return hmac.new(secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Equality that takes as long however much is equal."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
