"""Logins that an OIDC provider vouches for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from services.accounts import credentials
from services.accounts.account import Account, PendingLogin
from services.accounts.auditing import NOBODY, Audit
from services.accounts.errors import AccountsError, Forbidden, NotSignedIn, ProviderError
from services.accounts.mapping import Access, AccessRules, name_from, other_name
from services.accounts.oidc import Provider
from services.accounts.principal import Role
from services.accounts.sessions import Opened, Sessions
from services.logs import get_logger
from services.store import accounts, sessions
from services.store.database import Database, Transaction

_PATIENCE: Final = timedelta(minutes=10)
_LONGEST_SUBJECT: Final = 255  # OpenID Connect Core 1.0, section 2
_NO_ACCESS: Final = Access(Role.VIEWER, frozenset())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider sent the browser back with; `cookie`: the state that this browser was given at the start."""

    cookie: str | None = field(repr=False)
    state: str | None = field(repr=False)
    code: str | None = field(repr=False)
    error: str | None
    issuer: str | None


@dataclass(frozen=True, slots=True)
class FederatedLogins:
    """From our login page to the provider and back."""

    provider: Provider
    rules: AccessRules
    name_claim: str
    sessions: Sessions
    database: Database
    audit: Audit
    clock: Callable[[], datetime]
    log: structlog.stdlib.BoundLogger = field(default_factory=lambda: get_logger("accounts"), compare=False)

    def begin(self, next_page: str) -> tuple[str, str]:
        """(where the browser goes, the state for its cookie). Raises `ProviderError`."""
        state, nonce, verifier = (credentials.new_secret() for _ in range(3))
        url = self.provider.login_url(state=state, nonce=nonce, verifier=verifier)
        now = self.clock()
        with self.database.write() as tx:
            sessions.forget_pending(tx, now)
            waiting = PendingLogin(credentials.digest(state), nonce, verifier, next_page, now + _PATIENCE)
            sessions.add_pending(tx, waiting)
        return url, state

    def finish(self, answer: Answer) -> tuple[Opened, str]:
        """(a session, the page that was asked for). Raises `ProviderError`, `NotSignedIn` and `Forbidden`."""
        try:
            pending = self._pending(answer)
            self.provider.check_issuer(answer.issuer)
            if answer.error is not None or not answer.code:
                raise ProviderError("the provider did not sign anybody in")
            claims = self.provider.claims(
                code=answer.code, verifier=pending.verifier, nonce=pending.nonce, wanted=self.rules.claim
            )
            return self._opened(claims), pending.next
        except AccountsError as error:
            self._failed(error)
            raise

    def _pending(self, answer: Answer) -> PendingLogin:
        """A login that this browser began, and that no answer came to before."""
        if not answer.state or not answer.cookie or not credentials.same(answer.state, answer.cookie):
            raise NotSignedIn("this login was not begun in this browser")
        with self.database.write() as tx:
            pending = sessions.take_pending(tx, credentials.digest(answer.cookie))
        if pending is None or self.clock() >= pending.ends_at:
            raise NotSignedIn("this login is over; begin again")
        return pending

    def _opened(self, claims: Mapping[str, Any]) -> Opened:
        subject = _subject(claims)
        access = self.rules.access(claims)
        with self.database.write() as tx:
            known = accounts.of_subject(tx, self.provider.issuer, subject)
            if access is not None and (known is None or known.disabled_at is None):
                account = self._as_told(tx, known, access) if known else self._new(tx, claims, subject, access)
                return self.sessions.open(tx, account, "oidc")
            if known is not None and access is None:
                self._take_away(tx, known)
        raise Forbidden("this account has no access here")

    def _as_told(self, tx: Transaction, known: Account, access: Access) -> Account:
        """What the provider says now counts: also where it is less."""
        accounts.set_access(tx, known.name, access.role, access.tenants)
        return replace(known, role=access.role, tenants=access.tenants)

    def _new(self, tx: Transaction, claims: Mapping[str, Any], subject: str, access: Access) -> Account:
        issuer, now = self.provider.issuer, self.clock()
        name = name_from(claims, self.name_claim, issuer, subject)
        for called in (name, other_name(name, issuer, subject)):
            account = Account(called, access.role, access.tenants, now, issuer=issuer, subject=subject)
            if accounts.add(tx, account):
                return account
        raise Forbidden("this account has no access here")

    def _take_away(self, tx: Transaction, known: Account) -> None:
        """Who has lost their groups loses sessions, and their tokens open nothing."""
        accounts.set_access(tx, known.name, _NO_ACCESS.role, _NO_ACCESS.tenants)
        ended = sessions.end_all(tx, known.name)
        self.audit(tx, self.clock(), NOBODY, "account.access_lost", known.name, {"sessions": ended})

    def _failed(self, error: AccountsError) -> None:
        self.log.warning("login refused", means="oidc", reason=str(error))
        with self.database.write() as tx:
            told = {"means": "oidc", "reason": str(error)}
            self.audit(tx, self.clock(), NOBODY, "login.failed", NOBODY, told)


def _subject(claims: Mapping[str, Any]) -> str:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        raise ProviderError("the ID token names nobody")
    return subject
