"""API tokens: a program's access in somebody's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from services.accounts import credentials
from services.accounts.account import ApiToken, by_token, tenants_of, token_name
from services.accounts.auditing import Audit
from services.accounts.errors import NotSignedIn, Refused
from services.accounts.principal import Principal, Role, Tenants, within
from services.store import accounts, api_tokens
from services.store.database import Database

LONGEST_LIFE: Final = timedelta(days=3650)
_TOUCH_EVERY: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Made:
    """A new token. `secret` is shown once, and kept nowhere."""

    secret: str = field(repr=False)
    token: ApiToken


@dataclass(frozen=True, slots=True)
class Tokens:
    """`by`, everywhere: who does it, for the audit log."""

    database: Database
    audit: Audit
    clock: Callable[[], datetime]
    new_id: Callable[[], UUID] = uuid4

    def create(self, owner: str, name: str, role: Role, tenants: Tenants, life: timedelta, *, by: str) -> Made:
        """A token of `owner`'s, for some tenants, or (None) for all that its owner may see whenever it is used.

        Raises `Refused` where it would open more than the owner may.
        """
        now, secret = self.clock(), credentials.new_api_token()
        checked = tenants if tenants is None else tenants_of(tenants)
        if not timedelta(0) < life <= LONGEST_LIFE:
            raise Refused(f"a token lives for {LONGEST_LIFE.days} days at most")
        made = ApiToken(
            self.new_id(), credentials.digest(secret), owner, token_name(name), role, checked, now, now + life
        )
        with self.database.write() as tx:
            account = accounts.get(tx, owner)
            if account is None or account.disabled_at is not None:
                raise Refused("there is no such account, or it is disabled")
            if not account.role.covers(role) or (checked is not None and not within(checked, account.tenants)):
                raise Refused("a token opens no more than its owner may")
            api_tokens.add(tx, made)
            told = {"account": owner, "role": role.value, "tenants": accounts.tenants_kept(checked)}
            self.audit(tx, now, by, "token.created", str(made.token_id), told)
        return Made(secret, made)

    def find(self, secret: str) -> Principal:
        """In whose name it speaks, as token and account stand now. Raises `NotSignedIn`."""
        if not credentials.is_api_token(secret):
            raise NotSignedIn("no valid token")
        now = self.clock()
        with self.database.read() as tx:
            found = api_tokens.by_digest(tx, credentials.digest(secret))
        if found is None or found[0].is_over(now) or found[1].disabled_at is not None:
            raise NotSignedIn("no valid token")
        token, account = found
        if token.last_used_at is None or now - token.last_used_at >= _TOUCH_EVERY:
            with self.database.write() as tx:
                api_tokens.touch(tx, token.token_id, now)
        return by_token(account, token)

    def everyones(self, account: str | None = None) -> list[ApiToken]:
        """All tokens, or one account's, oldest first."""
        with self.database.read() as tx:
            return api_tokens.everyones(tx, account)

    def revoke(self, token_id: UUID, *, by: str, only_of: str | None = None) -> None:
        """It opens nothing from now on. Raises `Refused`, also for another's where `only_of` names an account."""
        now = self.clock()
        with self.database.write() as tx:
            token = api_tokens.get(tx, token_id)
            if token is None or (only_of is not None and token.account != only_of):
                raise Refused("there is no such token")
            if token.revoked_at is None:
                api_tokens.revoke(tx, token_id, now)
                self.audit(tx, now, by, "token.revoked", str(token_id), {"account": token.account})
