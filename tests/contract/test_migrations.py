"""Upgrades from every earlier schema, with data in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from alembic import command
from sqlalchemy import Engine, text

from services.schema import _config, is_current, upgrade
from services.store import Database, Store, audit, cases, open_engine
from services.store.database import writing
from services.triage.actions import Actions, Actor
from services.triage.case import CaseState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VERDICT = UUID("11111111-2222-5333-8444-555555555555")


def to_revision(engine: Engine, revision: str) -> None:
    config = _config()
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def insert(engine: Engine, table: str, row: dict[str, Any]) -> None:
    """As an older version wrote it, in the database's own types."""
    sqlite = engine.dialect.name == "sqlite"

    def native(value: Any) -> Any:
        if isinstance(value, UUID):
            return value.hex if sqlite else value
        if isinstance(value, datetime):
            return value.strftime("%Y-%m-%d %H:%M:%S.%f") if sqlite else value
        return json.dumps(value) if isinstance(value, dict | list) else value

    names = ", ".join(f'"{name}"' for name in row)
    places = ", ".join(
        f"CAST(:{name} AS JSONB)" if not sqlite and isinstance(value, dict | list) else f":{name}"
        for name, value in row.items()
    )
    with writing(engine) as connection:
        values = {name: native(value) for name, value in row.items()}
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)


VERDICT_ROW: dict[str, Any] = {
    "verdict_id": VERDICT,
    "event_id": "e1",
    "tenant_id": "acme",
    "conversation_id": "c1",
    "seq": 3,
    "status": "scored",
    "misalignment": 0.75,
    "flags": 1,
    "scores": {"coercion": 0.8},
    "flagged": ["coercion"],
    "thresholds": {"coercion": 0.5},
    "evidence": [],
    "detectors": [],
    "bundle_version": "b-1",
    "arm": "stable",
    "stage": "ensemble",
    "synthetic": False,
    "occurred_at": NOW,
    "decided_at": NOW,
    "recorded_at": NOW,
}
LETTER_ROW: dict[str, Any] = {
    "topic": "t",
    "partition": 0,
    "offset": 2**40,
    "code": "not_json",
    "reason": "why",
    "bytes": 1,
    "died_at": NOW,
    "recorded_at": NOW,
}
CASE_ROW: dict[str, Any] = {
    "tenant_id": "acme",
    "conversation_id": "c1",
    "opened_at": NOW,
    "severity": "critical",
    "category": "coercion",
    "flagged_verdicts": 4,
    "last_verdict_id": VERDICT,
    "last_flagged_at": NOW + timedelta(minutes=1),
}


@pytest.fixture
def old(database_url: str) -> Engine:
    """Without any schema."""
    return open_engine(database_url)


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005", "0006"])
def test_verdicts_and_dead_letters_survive(old: Engine, revision: str) -> None:
    to_revision(old, revision)
    insert(old, "verdicts", VERDICT_ROW)
    insert(old, "dead_letters", LETTER_ROW)
    upgrade(old)
    assert is_current(old)
    store = Store(old)
    (found,) = store.verdicts(limit=10)
    assert (found.verdict_id, found.flagged, found.occurred_at) == (VERDICT, ("coercion",), NOW)
    assert store.coverage().dead_lettered == 1
    old.dispose()


def test_cases_of_one_conversation_become_cases_that_can_be_worked_on(old: Engine) -> None:
    to_revision(old, "0003")
    insert(old, "verdicts", VERDICT_ROW)
    insert(old, "cases", CASE_ROW)
    seen = {"acknowledged_at": NOW + timedelta(minutes=5), "acknowledged_by": "ada"}
    insert(old, "cases", {**CASE_ROW, "conversation_id": "c2", **seen})
    upgrade(old)
    found = {case.lead_conversation_id: case for case in Store(old).cases(limit=10, now=NOW)}
    assert (found["c1"].state, found["c1"].flagged_verdicts, found["c1"].opened_at) == (CaseState.OPEN, 4, NOW)
    assert (found["c2"].state, found["c2"].acknowledged_by) == (CaseState.ACKNOWLEDGED, "ada")
    assert found["c2"].acknowledged_at == NOW + timedelta(minutes=5)
    database = Database(old)
    with database.write() as tx:
        assert [member.conversation_id for member in cases.members(tx, found["c1"].case_id)] == ["c1"]
        rules = Actions("q", "a", b"0123456789abcdef")
        rules.acknowledge(tx, Actor("bob", None), found["c1"].case_id, 1, NOW + timedelta(hours=1))
    with database.read() as tx:
        assert audit.verify(tx).entries == 1
    old.dispose()
