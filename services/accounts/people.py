"""Accounts: who there is, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.accounts import passwords
from services.accounts.account import Account, account_name, is_account_name, tenants_of
from services.accounts.auditing import SYSTEM, Audit
from services.accounts.errors import Refused
from services.accounts.passwords import Passwords
from services.accounts.principal import Role, Tenants
from services.store import accounts, sessions
from services.store.database import Database, Transaction

FIRST_ADMIN: Final = "admin"


@dataclass(frozen=True, slots=True)
class People:
    """`by`, everywhere: who does it, for the audit log. What is changed counts from the next request on."""

    database: Database
    passwords: Passwords
    audit: Audit
    clock: Callable[[], datetime]

    def create(self, name: str, role: Role, tenants: Tenants, *, by: str) -> str:
        """A local account; its password, which is kept nowhere. Raises `Refused`."""
        password = passwords.generated()
        account = self._new(name, role, tenants, password)
        with self.database.write() as tx:
            self._add(tx, account, by)
        return password

    def ensure_first_admin(self) -> str | None:
        """The password of a new account `admin`, if there was no account at all; else None."""
        with self.database.read() as tx:
            if accounts.is_anybody_there(tx):
                return None
        password = passwords.generated()
        account = self._new(FIRST_ADMIN, Role.ADMIN, None, password)
        with self.database.write() as tx:
            if accounts.is_anybody_there(tx) or not accounts.add(tx, account):
                return None
            self._created(tx, account, SYSTEM)
        return password

    def everybody(self) -> list[Account]:
        with self.database.read() as tx:
            return accounts.everybody(tx)

    def exists(self, name: str) -> bool:
        """Whether it can be given work: it is there, and not disabled."""
        if not is_account_name(name):
            return False
        with self.database.read() as tx:
            found = accounts.get(tx, name)
        return found is not None and found.disabled_at is None

    def set_access(self, name: str, role: Role, tenants: Tenants, *, by: str) -> None:
        """Raises `Refused`."""
        checked = tenants if tenants is None else tenants_of(tenants)
        with self.database.write() as tx:
            self._get(tx, name)
            accounts.set_access(tx, name, role, checked)
            told = {"role": role.value, "tenants": accounts.tenants_kept(checked)}
            self.audit(tx, self.clock(), by, "account.access", name, told)

    def disable(self, name: str, *, by: str) -> None:
        """Ends its sessions, and its tokens open nothing. Raises `Refused`."""
        now = self.clock()
        with self.database.write() as tx:
            self._get(tx, name)
            accounts.set_disabled(tx, name, now)
            ended = sessions.end_all(tx, name)
            self.audit(tx, now, by, "account.disabled", name, {"sessions": ended})

    def enable(self, name: str, *, by: str) -> None:
        """Raises `Refused`."""
        with self.database.write() as tx:
            self._get(tx, name)
            accounts.set_disabled(tx, name, None)
            self.audit(tx, self.clock(), by, "account.enabled", name, {})

    def new_password(self, name: str, *, by: str) -> str:
        """A generated password. Ends the account's sessions; its tokens stay. Raises `Refused`."""
        password = passwords.generated()
        self.set_password(name, password, by=by)
        return password

    def set_password(self, name: str, password: str, *, by: str) -> None:
        """A chosen password. Ends the account's sessions; its tokens stay. Raises `Refused`."""
        passwords.check_new(name, password)
        made = self.passwords.hash(password)
        with self.database.write() as tx:
            if self._get(tx, name).issuer is not None:
                raise Refused("this account signs in with the OIDC provider: it has no password")
            accounts.set_password(tx, name, made)
            ended = sessions.end_all(tx, name)
            self.audit(tx, self.clock(), by, "account.password", name, {"sessions": ended})

    def _new(self, name: str, role: Role, tenants: Tenants, password: str) -> Account:
        checked = tenants if tenants is None else tenants_of(tenants)
        return Account(account_name(name), role, checked, self.clock(), self.passwords.hash(password))

    def _add(self, tx: Transaction, account: Account, by: str) -> None:
        if not accounts.add(tx, account):
            raise Refused("there is an account of this name already")
        self._created(tx, account, by)

    def _created(self, tx: Transaction, account: Account, by: str) -> None:
        told = {"role": account.role.value, "tenants": accounts.tenants_kept(account.tenants)}
        self.audit(tx, account.created_at, by, "account.created", account.name, told)

    def _get(self, tx: Transaction, name: str) -> Account:
        found = accounts.get(tx, name) if is_account_name(name) else None
        if found is None:
            raise Refused("there is no such account")
        return found
