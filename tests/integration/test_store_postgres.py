"""The store on PostgreSQL: the same promises as on SQLite, and what only a server can break."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlmodel import SQLModel

from deploy.postgres.local import LocalPostgres
from detectors.verdict import Evidence, Stage, Status, Verdict
from services.dead_letters import DeadLetter
from services.errors import TransientError
from services.schema import is_current, upgrade
from services.store import Store, open_engine
from tests.servers import require

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def verdict(number: int, **fields: object) -> Verdict:
    defaults: dict[str, object] = {
        "verdict_id": uuid4(),
        "event_id": f"e{number}",
        "tenant_id": "default",
        "conversation_id": "Gespräch ✓",
        "seq": 2**53,
        "status": Status.SCORED,
        "scores": {"deception": 0.25},
        "misalignment": 0.5,
        "flagged": ("deception",),
        "thresholds": {"deception": 0.2},
        "evidence": (
            Evidence(message_id="m", message_index=1, part_index=0, start=3, end=9, category="deception", weight=1.5),
        ),
        "bundle_version": "b-1",
        "stage": Stage.ENSEMBLE,
        "occurred_at": NOW,
        "decided_at": NOW,
    }
    return Verdict.model_validate({**defaults, **fields})


@pytest.fixture
def store(postgres_url: str) -> Store:
    engine = open_engine(postgres_url)
    upgrade(engine)
    return Store(engine)


def test_a_verdict_comes_back_as_it_was_written(store: Store) -> None:
    written = verdict(1)
    assert store.record([written], [], now=NOW) == 1
    assert store.verdicts(limit=10) == [written]


def test_recording_again_changes_nothing(store: Store) -> None:
    first = verdict(1)
    letter = DeadLetter("t", 0, 2**40, "not_json", "why", NOW, None, b"x", size=1)
    store.record([first], [letter], now=NOW)
    changed = first.model_copy(update={"misalignment": 0.9})
    assert store.record([changed, changed], [letter], now=NOW) == 0
    assert store.verdicts(limit=10) == [first]
    assert store.coverage().events == 2


def test_the_migrations_give_exactly_the_tables_that_the_code_uses(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_several_recorders_may_bring_the_schema_up_at_once(postgres_url: str) -> None:
    engines = [open_engine(postgres_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(upgrade, engines))
    assert all(map(is_current, engines))


def test_many_recorders_writing_the_same_verdicts_write_each_once(store: Store) -> None:
    verdicts = [verdict(number) for number in range(300)]
    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(lambda _: store.record(verdicts, [], now=NOW), range(4)))
    assert sum(written) == 300
    assert store.coverage().by_status == {"scored": 300}


def test_a_database_that_goes_away_is_a_transient_error_and_heals() -> None:
    from deploy.postgres.local import missing_tools

    require(missing_tools(), "PostgreSQL")
    with LocalPostgres() as server:
        engine = open_engine(server.url)
        upgrade(engine)
        store = Store(engine)
        store.record([verdict(1)], [], now=NOW)
        server.stop()
        with pytest.raises(TransientError):
            store.record([verdict(2)], [], now=NOW)


def test_cases_are_opened_once_get_graver_and_are_acknowledged(store: Store) -> None:
    first = verdict(1, flagged=("deception",))
    for batch in ([first], [first, verdict(2, flagged=("deception",))], [first]):
        store.record(batch, [], now=NOW)
    (case,) = store.cases(limit=10)
    assert (case.severity, case.flagged_verdicts, case.opened_at) == ("high", 2, NOW)
    acknowledged = store.acknowledge("default", "Gespräch ✓", by="ada", now=NOW)
    assert acknowledged is not None
    assert acknowledged.acknowledged_by == "ada"
    assert store.open_cases() == {}
    store.record([verdict(3, flagged=("sabotage",))], [], now=NOW)
    (graver,) = store.cases(limit=10, open_only=True)
    assert (graver.severity, graver.category, graver.flagged_verdicts) == ("critical", "sabotage", 3)
    assert store.open_cases() == {"critical": (1, NOW)}
