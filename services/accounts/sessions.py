"""Sessions: from a login to a logout, or until nobody has been there for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from services.accounts import credentials
from services.accounts.account import Account, Session, by_session, is_account_name
from services.accounts.auditing import NOBODY, Audit
from services.accounts.errors import NotSignedIn
from services.accounts.passwords import LONGEST, Passwords
from services.accounts.principal import Principal
from services.logs import get_logger
from services.store import accounts, sessions
from services.store.database import Database, Transaction

_REFUSED = "name or password is not right"
_OVER = "sign in"


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session. `secret` goes into the cookie, and is kept nowhere else."""

    secret: str = field(repr=False)
    principal: Principal


@dataclass(frozen=True, slots=True)
class Sessions:
    """A session ends `idle` after the last request, and `lifetime` after its login."""

    database: Database
    passwords: Passwords
    audit: Audit
    clock: Callable[[], datetime]
    idle: timedelta
    lifetime: timedelta
    log: structlog.stdlib.BoundLogger = field(default_factory=lambda: get_logger("accounts"), compare=False)

    def log_in(self, name: str, password: str) -> Opened:
        """A session for somebody who knows the password. Raises `NotSignedIn`, after the same time and with the same
        text whether the account is not there, is disabled, or has another password.
        """
        wanted = name.lower()
        with self.database.read() as tx:
            account = accounts.get(tx, wanted) if is_account_name(wanted) else None
        usable = account if account is not None and account.disabled_at is None else None
        right = self.passwords.verify(usable.password_hash if usable else None, password[: LONGEST + 1])
        if usable is None or not right:
            self._failed(account)
            raise NotSignedIn(_REFUSED)
        renewed = self._renewed(usable, password)
        with self.database.write() as tx:
            return self._logged_in(tx, usable, renewed)

    def _logged_in(self, tx: Transaction, verified: Account, renewed: str | None) -> Opened:
        """Looks again: it took a while to verify the password, and it may have been changed since. Whoever changes it
        now waits, and ends this session as well.
        """
        account = accounts.get(tx, verified.name, lock=True)
        if account is None or account.disabled_at is not None or account.password_hash != verified.password_hash:
            raise NotSignedIn(_REFUSED)
        if renewed is not None:
            accounts.set_password(tx, account.name, renewed)
        return self.open(tx, account, "password")

    def open(self, tx: Transaction, account: Account, means: str) -> Opened:
        """A session for somebody who was recognised by `means`."""
        now, secret = self.clock(), credentials.new_secret()
        sessions.forget(tx, now, self.idle)
        sessions.add(tx, Session(credentials.digest(secret), account.name, now, now, now + self.lifetime))
        accounts.set_last_login(tx, account.name, now)
        self.audit(tx, now, account.name, "login.succeeded", account.name, {"means": means})
        return Opened(secret, by_session(account))

    def find(self, secret: str) -> Principal:
        """Whose session it is, as the account stands now. Raises `NotSignedIn`."""
        if not credentials.is_secret(secret):
            raise NotSignedIn(_OVER)
        now, digest = self.clock(), credentials.digest(secret)
        with self.database.read() as tx:
            found = sessions.get(tx, digest)
        if found is None or found[0].is_over(now, self.idle) or found[1].disabled_at is not None:
            raise NotSignedIn(_OVER)
        session, account = found
        if session.is_to_be_touched(now, self.idle):
            with self.database.write() as tx:
                sessions.touch(tx, digest, now)
        return by_session(account)

    def end(self, secret: str) -> None:
        """Ends it, here and not only in the browser. One that is not there is no error."""
        if not credentials.is_secret(secret):
            return
        with self.database.write() as tx:
            account = sessions.end(tx, credentials.digest(secret))
            if account is not None:
                self.audit(tx, self.clock(), account, "logout", account, {})

    def _renewed(self, account: Account, password: str) -> str | None:
        """The password hashed anew where today's parameters are others than those it was hashed with."""
        kept = account.password_hash
        return self.passwords.hash(password) if kept is not None and self.passwords.is_outdated(kept) else None

    def _failed(self, account: Account | None) -> None:
        name = account.name if account else NOBODY
        self.log.warning("login refused", account=name)
        with self.database.write() as tx:
            self.audit(tx, self.clock(), NOBODY, "login.failed", name, {"means": "password"})
