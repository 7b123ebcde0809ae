"""Accounts, and what stands for one: sessions, API tokens, a login that waits for the OIDC provider."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.accounts.errors import Refused
from services.accounts.principal import Principal, Role, Tenants, Via, common, lesser

MOST_TENANTS: Final = 1000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_TENANT_LENGTH: Final = 256
_LABEL_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Account:
    """`password_hash` None: no password opens it. `issuer` and `subject`: whom the OIDC provider knows it as."""

    name: str
    role: Role
    tenants: Tenants
    created_at: datetime
    password_hash: str | None = None
    issuer: str | None = None
    subject: str | None = None
    disabled_at: datetime | None = None
    last_login_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """`digest` stands for the secret in the browser's cookie. `ends_at`: at the latest."""

    digest: str
    account: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime

    def is_over(self, now: datetime, idle: timedelta) -> bool:
        return now >= self.ends_at or now - self.seen_at >= idle

    def is_to_be_touched(self, now: datetime, idle: timedelta) -> bool:
        """Whether `seen_at` is old enough to be written again: not with every request."""
        return now - self.seen_at >= min(timedelta(minutes=1), idle / 10)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A program's access in somebody's name: never more than its owner may, also when that becomes less.

    `tenants` None: all of the owner's.
    """

    token_id: UUID
    digest: str
    account: str
    name: str
    role: Role
    tenants: Tenants
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        return self.revoked_at is not None or now >= self.expires_at


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """What the answer of the OIDC provider is held against. `digest` stands for the state in URL and cookie."""

    digest: str
    nonce: str
    verifier: str
    next: str
    ends_at: datetime


def by_session(account: Account) -> Principal:
    return Principal(account.name, account.role, account.tenants, Via.SESSION)


def by_token(account: Account, token: ApiToken) -> Principal:
    role, tenants = lesser(account.role, token.role), common(account.tenants, token.tenants)
    return Principal(account.name, role, tenants, Via.TOKEN)


def is_account_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def account_name(text: str) -> str:
    """`text` in lower case. Raises `Refused`."""
    name = text.lower()
    if not is_account_name(name):
        raise Refused("a name is 1 to 100 of a–z, 0–9, . _ @ + - and begins with a letter or digit")
    return name


def tenants_of(names: frozenset[str]) -> frozenset[str]:
    """Raises `Refused` for what is no tenant's id."""
    if len(names) > MOST_TENANTS or not all(0 < len(name) <= _TENANT_LENGTH and name.isprintable() for name in names):
        raise Refused(f"at most {MOST_TENANTS} tenants, each of 1 to {_TENANT_LENGTH} printable characters")
    return names


def token_name(text: str) -> str:
    """Raises `Refused`."""
    if not 0 < len(text) <= _LABEL_LENGTH or not text.isprintable():
        raise Refused(f"a token's name is 1 to {_LABEL_LENGTH} printable characters")
    return text
