"""Accounts in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from services.accounts.account import Account
from services.accounts.principal import Role, Tenants
from services.store.account_tables import AccountRow
from services.store.database import Transaction

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_TABLE: Final = AccountRow.__table__  # type: ignore[attr-defined]


def account_of(row: Mapping[Any, Any]) -> Account:
    return Account(**{**row, "role": Role(row["role"]), "tenants": tenants_from(row["tenants"])})


def tenants_from(kept: list[str] | None) -> Tenants:
    return None if kept is None else frozenset(kept)


def tenants_kept(tenants: Tenants) -> list[str] | None:
    return None if tenants is None else sorted(tenants)


def add(tx: Transaction, account: Account) -> bool:
    """False where the name, or the provider's subject, is taken."""
    row = {**asdict(account), "tenants": tenants_kept(account.tenants)}
    statement = _INSERT[tx.dialect.name](AccountRow).values(row).on_conflict_do_nothing()
    return tx.execute(statement.returning(col(AccountRow.name))).first() is not None


def get(tx: Transaction, name: str, *, lock: bool = False) -> Account | None:
    """With `lock` nobody changes it until the transaction has ended."""
    query = select(_TABLE).where(col(AccountRow.name) == name)
    row = tx.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else account_of(row)


def of_subject(tx: Transaction, issuer: str, subject: str) -> Account | None:
    """Whom the OIDC provider knows as `subject`; nobody changes it until the transaction has ended."""
    known = (col(AccountRow.issuer) == issuer, col(AccountRow.subject) == subject)
    row = tx.execute(select(_TABLE).where(*known).with_for_update()).mappings().first()
    return None if row is None else account_of(row)


def everybody(tx: Transaction) -> list[Account]:
    """All accounts, by name."""
    rows = tx.execute(select(_TABLE).order_by(col(AccountRow.name))).mappings()
    return [account_of(row) for row in rows]


def is_anybody_there(tx: Transaction) -> bool:
    return tx.execute(select(AccountRow.name).limit(1)).first() is not None


def set_password(tx: Transaction, name: str, password_hash: str) -> None:
    _change(tx, name, password_hash=password_hash)


def set_access(tx: Transaction, name: str, role: Role, tenants: Tenants) -> None:
    _change(tx, name, role=role.value, tenants=tenants_kept(tenants))


def set_disabled(tx: Transaction, name: str, at: datetime | None) -> None:
    _change(tx, name, disabled_at=at)


def set_last_login(tx: Transaction, name: str, at: datetime) -> None:
    _change(tx, name, last_login_at=at)


def _change(tx: Transaction, name: str, **values: Any) -> None:
    tx.execute(update(AccountRow).where(col(AccountRow.name) == name).values(values))
