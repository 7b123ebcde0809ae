"""Where verdicts are kept: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, func, inspect, null, update
from sqlalchemy import case as sql_case
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlmodel import SQLModel, col, create_engine, desc, select

from alerting.severity import Severity
from detectors.verdict import Verdict
from services.cases import Case, cases_of
from services.dead_letters import DeadLetter
from services.errors import SettingsError, TransientError
from services.store_tables import CaseRow, DeadLetterRow, VerdictRow

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
            unknown = {key for (key,) in new}
            first = {verdict.verdict_id: verdict for verdict in reversed(verdicts) if verdict.verdict_id in unknown}
            self._open_cases(connection, cases_of(reversed(first.values()), now))
        return len(new)

    def _open_cases(self, connection: Connection, cases: Sequence[Case]) -> None:
        """Opens cases, or adds to those that are there. Severity only rises, and a rise calls for a new look."""
        for case in cases:
            statement = _INSERT[connection.dialect.name](CaseRow).values(**asdict(case))
            added, there = statement.excluded, CaseRow
            graver = _rank(added.severity) < _rank(col(there.severity))
            changed = {
                "severity": sql_case((graver, added.severity), else_=col(there.severity)),
                "category": sql_case((graver, added.category), else_=col(there.category)),
                "flagged_verdicts": col(there.flagged_verdicts) + added.flagged_verdicts,
                "last_verdict_id": added.last_verdict_id,
                "last_flagged_at": added.last_flagged_at,
                "acknowledged_at": sql_case((graver, null()), else_=col(there.acknowledged_at)),
                "acknowledged_by": sql_case((graver, null()), else_=col(there.acknowledged_by)),
            }
            key = inspect(CaseRow).primary_key
            connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))

    def cases(self, *, limit: int, open_only: bool = False) -> list[Case]:
        """The gravest first, and of one severity the oldest first."""
        query = select(CaseRow).order_by(_rank(col(CaseRow.severity)), col(CaseRow.opened_at)).limit(limit)
        if open_only:
            query = query.where(col(CaseRow.acknowledged_at).is_(None))
        with self._transaction() as connection:
            rows = connection.execute(query).mappings().all()
        return [Case(**{**row, "severity": Severity(row["severity"])}) for row in rows]

    def acknowledge(self, tenant_id: str, conversation_id: str, *, by: str, now: datetime) -> Case | None:
        """The case, acknowledged by now; the first one to do so stays. None where there is no such case."""
        mine = (col(CaseRow.tenant_id) == tenant_id, col(CaseRow.conversation_id) == conversation_id)
        change = update(CaseRow).where(*mine, col(CaseRow.acknowledged_at).is_(None))
        with self._transaction() as connection:
            connection.execute(change.values(acknowledged_at=now, acknowledged_by=by))
            row = connection.execute(select(CaseRow).where(*mine)).mappings().first()
        return None if row is None else Case(**{**row, "severity": Severity(row["severity"])})

    def open_cases(self) -> dict[str, tuple[int, datetime]]:
        """Severity → cases that nobody has acknowledged, and when the oldest of them was opened."""
        open_now = col(CaseRow.acknowledged_at).is_(None)
        query = select(CaseRow.severity, func.count(), func.min(CaseRow.opened_at)).where(open_now)
        with self._transaction() as connection:
            rows = connection.execute(query.group_by(col(CaseRow.severity))).all()
        return {severity: (count, _aware(oldest)) for severity, count, oldest in rows}

    def waits(self, since: datetime) -> list[tuple[datetime, float]]:
        """(when, after how many seconds) cases were acknowledged after `since`."""
        query = select(CaseRow.opened_at, CaseRow.acknowledged_at).where(col(CaseRow.acknowledged_at) > since)
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return sorted((row[1], (row[1] - row[0]).total_seconds()) for row in rows if row[1])

    def coverage(self) -> Coverage:
        """Counts over everything recorded but probes."""
        real = col(VerdictRow.synthetic).is_(False)
        with self._transaction() as connection:
            statuses = connection.execute(
                select(VerdictRow.status, func.count()).where(real).group_by(col(VerdictRow.status))
            ).all()
            flagged = connection.execute(select(func.count()).where(real, col(VerdictRow.flags) > 0)).scalar_one()
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

    def _insert(
        self, connection: Connection, table: type[SQLModel], rows: Sequence[dict[str, Any]]
    ) -> list[tuple[Any, ...]]:
        """Primary keys of those `rows` that were new."""
        insert = _INSERT[connection.dialect.name]
        key = inspect(table).primary_key
        inserted: list[tuple[Any, ...]] = []
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            statement = insert(table).values(rows[first : first + _ROWS_AT_ONCE]).on_conflict_do_nothing()
            inserted += [tuple(row) for row in connection.execute(statement.returning(*key)).all()]
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


def _rank(severity: Any) -> Any:
    """Graver is less."""
    return sql_case({each.value: rank for rank, each in enumerate(Severity)}, value=severity, else_=len(Severity))


def _aware(moment: datetime | str) -> datetime:
    """What an aggregate gives: SQLite has no times, and keeps them as text in UTC."""
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


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
