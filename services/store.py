"""Where verdicts are kept: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, func, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlmodel import SQLModel, col, create_engine, desc, select

from detectors.verdict import Verdict
from services.dead_letters import DeadLetter
from services.errors import SettingsError, TransientError
from services.store_tables import DeadLetterRow, VerdictRow

_INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_ROWS_AT_ONCE = 200  # SQLite takes 32,766 parameters a statement, a verdict has 23


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many events ended how."""

    by_status: dict[str, int]
    flagged: int
    dead_lettered: int

    @property
    def events(self) -> int:
        return sum(self.by_status.values()) + self.dead_lettered


def open_engine(url: str) -> Engine:
    """An engine for a SQLite or PostgreSQL URL; makes a SQLite file's folder. Raises `SettingsError` for others."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in _INSERT:
            raise SettingsError("PLUMBLINE_DATABASE_URL: only sqlite:///… and postgresql+psycopg://… are supported")
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError):  # ValueError: a port that is no number
        problem = "not a database URL, or one for a driver that is not installed"
        raise SettingsError(f"PLUMBLINE_DATABASE_URL: {problem}") from None
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _share_sqlite)
    return engine


def _share_sqlite(connection: Any, _: object) -> None:
    """Readers do not wait for the writer, and writers wait for each other."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=10000")


class Store:
    """Reads and writes verdicts and dead letters. The schema must be there: see `services.migrations`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, verdicts: Sequence[Verdict], letters: Sequence[DeadLetter], *, now: datetime) -> int:
        """Writes all or nothing; returns how many of the verdicts are new. Rows that are there stay as they are.

        Raises `TransientError` where the database is away.
        """
        with self._transaction() as connection:
            new = self._insert(connection, VerdictRow, [_verdict_row(verdict, now) for verdict in verdicts])
            self._insert(connection, DeadLetterRow, [_letter_row(letter, now) for letter in letters])
        return new

    def coverage(self) -> Coverage:
        """Counts over everything recorded."""
        with self._transaction() as connection:
            statuses = connection.execute(
                select(VerdictRow.status, func.count()).group_by(col(VerdictRow.status))
            ).all()
            flagged = connection.execute(select(func.count()).where(col(VerdictRow.flags) > 0)).scalar_one()
            dead = connection.execute(select(func.count()).select_from(DeadLetterRow)).scalar_one()
        return Coverage(dict(statuses), flagged, dead)

    def verdicts(self, *, limit: int, flagged_only: bool = False, conversation_id: str | None = None) -> list[Verdict]:
        """The latest verdicts, newest first."""
        query = select(VerdictRow).order_by(desc(VerdictRow.decided_at), col(VerdictRow.verdict_id)).limit(limit)
        if flagged_only:
            query = query.where(col(VerdictRow.flags) > 0)
        if conversation_id is not None:
            query = query.where(col(VerdictRow.conversation_id) == conversation_id)
        with self._transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [Verdict.model_validate(dict(row)) for row in rows]

    def _insert(self, connection: Connection, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> int:
        """How many of `rows` were new."""
        insert = _INSERT[connection.dialect.name]
        key = inspect(table).primary_key
        inserted = 0
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            statement = insert(table).values(rows[first : first + _ROWS_AT_ONCE]).on_conflict_do_nothing()
            inserted += len(connection.execute(statement.returning(*key)).all())
        return inserted

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise TransientError(f"database: {type(error.orig).__name__}") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise TransientError(f"database: {type(error.orig).__name__}") from error
            raise


def _verdict_row(verdict: Verdict, now: datetime) -> dict[str, Any]:
    row = verdict.model_dump(mode="json")
    moments = {"occurred_at": verdict.occurred_at, "decided_at": verdict.decided_at, "recorded_at": now}
    return {**row, **moments, "verdict_id": verdict.verdict_id, "flags": len(verdict.flagged)}


def _letter_row(letter: DeadLetter, now: datetime) -> dict[str, Any]:
    return {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "code": letter.code,
        "reason": letter.reason,
        "bytes": letter.size,
        "died_at": letter.died_at,
        "recorded_at": now,
    }
