"""API tokens in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, update
from sqlmodel import col, select

from services.accounts.account import Account, ApiToken
from services.accounts.principal import Role
from services.store import accounts
from services.store.account_tables import ApiTokenRow
from services.store.database import Transaction

_TABLE: Final = ApiTokenRow.__table__  # type: ignore[attr-defined]


def _token(row: Mapping[Any, Any]) -> ApiToken:
    return ApiToken(**{**row, "role": Role(row["role"]), "tenants": accounts.tenants_from(row["tenants"])})


def add(tx: Transaction, token: ApiToken) -> None:
    tx.execute(insert(ApiTokenRow).values({**asdict(token), "tenants": accounts.tenants_kept(token.tenants)}))


def by_digest(tx: Transaction, digest: str) -> tuple[ApiToken, Account] | None:
    """The token and whose it is, over or not, disabled or not."""
    row = tx.execute(select(_TABLE).where(col(ApiTokenRow.digest) == digest)).mappings().first()
    if row is None:
        return None
    token = _token(row)
    account = accounts.get(tx, token.account)
    return None if account is None else (token, account)


def get(tx: Transaction, token_id: UUID) -> ApiToken | None:
    row = tx.execute(select(_TABLE).where(col(ApiTokenRow.token_id) == token_id)).mappings().first()
    return None if row is None else _token(row)


def everyones(tx: Transaction, account: str | None = None) -> list[ApiToken]:
    """All tokens, or one account's, oldest first; those that are over as well."""
    query = select(_TABLE).order_by(col(ApiTokenRow.created_at), col(ApiTokenRow.token_id))
    if account is not None:
        query = query.where(col(ApiTokenRow.account) == account)
    return [_token(row) for row in tx.execute(query).mappings()]


def touch(tx: Transaction, token_id: UUID, now: datetime) -> None:
    tx.execute(update(ApiTokenRow).where(col(ApiTokenRow.token_id) == token_id).values(last_used_at=now))


def revoke(tx: Transaction, token_id: UUID, now: datetime) -> None:
    tx.execute(update(ApiTokenRow).where(col(ApiTokenRow.token_id) == token_id).values(revoked_at=now))
