"""Retraining runs and requests for them in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, update
from sqlmodel import col, desc, select

from services.retraining.run import Outcome, Request, Run, Stage
from services.store import queued_labels
from services.store.database import Transaction
from services.store.loop_tables import RunRequestRow, RunRow


def _run(row: Mapping[Any, Any]) -> Run:
    outcome = None if row["outcome"] is None else Outcome(row["outcome"])
    return Run(**{**row, "stage": Stage(row["stage"]), "outcome": outcome})


def _request(row: Mapping[Any, Any]) -> Request:
    return Request(**{name: row[name] for name in Request.__dataclass_fields__})


def open_run(tx: Transaction, run: Run) -> Run:
    """Adds the run, with its number and the new labels that it counts; requests that wait are answered by it.

    To be called by who holds the lease, in the transaction that says so: there is no other run then.
    """
    last = tx.execute(select(func.max(RunRow.number))).scalar_one()
    row = {**asdict(run), "number": (last or 0) + 1, "new_labels": queued_labels.count(tx, run.run_id)}
    tx.execute(insert(RunRow).values(row))
    tx.execute(update(RunRequestRow).where(col(RunRequestRow.run_id).is_(None)).values(run_id=run.run_id))
    return _run(row)


def save(tx: Transaction, run: Run) -> bool:
    """Whether the run was under way until now. One that has ended is never changed."""
    mine = (col(RunRow.run_id) == run.run_id, col(RunRow.stage) != Stage.ENDED)
    return tx.execute(update(RunRow).where(*mine).values(asdict(run))).rowcount > 0


def progress(tx: Transaction, run_id: UUID, stage: Stage, share: float, said: str | None) -> None:
    """How far a stage is. Nothing changes where the run is at another one by now."""
    mine = (col(RunRow.run_id) == run_id, col(RunRow.stage) == stage)
    tx.execute(update(RunRow).where(*mine).values(progress=share, said=said))


def unfinished(tx: Transaction) -> Run | None:
    """The run that is under way: there is one at most."""
    query = select(RunRow.__table__).where(col(RunRow.stage) != Stage.ENDED)  # type: ignore[attr-defined]
    row = tx.execute(query.order_by(col(RunRow.number)).limit(1)).mappings().first()
    return None if row is None else _run(row)


def latest(tx: Transaction, *, limit: int) -> list[Run]:
    """The last runs, newest first, one that is under way included."""
    query = select(RunRow.__table__).order_by(desc(RunRow.number)).limit(limit)  # type: ignore[attr-defined]
    return [_run(row) for row in tx.execute(query).mappings()]


def since(tx: Transaction, at: datetime) -> list[Run]:
    """Runs that started after `at`, newest first."""
    query = select(RunRow.__table__).where(col(RunRow.started_at) > at)  # type: ignore[attr-defined]
    return [_run(row) for row in tx.execute(query.order_by(desc(RunRow.number))).mappings()]


def forget(tx: Transaction, tenant_id: str, conversation_id: str) -> int:
    """Takes a conversation out of what gates named as examples; how many runs had named it."""
    named = f"{tenant_id}/{conversation_id}"
    query = select(RunRow.run_id, RunRow.report).where(col(RunRow.report).is_not(None))
    found = [(run_id, report) for run_id, report in tx.execute(query).all() if _names(report, named)]
    for run_id, report in found:
        tx.execute(update(RunRow).where(col(RunRow.run_id) == run_id).values(report=_without(report, named)))
    return len(found)


def _names(value: Any, name: str) -> bool:
    each = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value == name or any(_names(item, name) for item in each)


def _without(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, name) for key, item in value.items()}
    return [_without(item, name) for item in value if item != name] if isinstance(value, list) else value


def ask(tx: Transaction, request: Request) -> None:
    """Asks for a run, as soon as none is under way."""
    tx.execute(insert(RunRequestRow).values(asdict(request)))


def waiting(tx: Transaction) -> list[Request]:
    """Requests that no run has answered, oldest first."""
    query = select(RunRequestRow.__table__).where(col(RunRequestRow.run_id).is_(None))  # type: ignore[attr-defined]
    rows = tx.execute(query.order_by(col(RunRequestRow.requested_at), col(RunRequestRow.request_id))).mappings()
    return [_request(row) for row in rows]
