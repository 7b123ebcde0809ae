"""Secrets that an installation makes for itself when they are first needed, and keeps."""

from __future__ import annotations

import secrets
from typing import Any, Final

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from services.store.database import Transaction
from services.store.triage_tables import InstallationRow

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_BYTES: Final = 32


def secret(tx: Transaction, name: str) -> bytes:
    """32 random bytes, the same ever after. Needs a transaction that writes."""
    made = {"name": name, "value": secrets.token_hex(_BYTES)}
    tx.execute(_INSERT[tx.dialect.name](InstallationRow).values(made).on_conflict_do_nothing())
    kept = tx.execute(select(InstallationRow.value).where(col(InstallationRow.name) == name)).scalar_one()
    return bytes.fromhex(kept)
