"""Labels from the queue, runs and requests: the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.retraining.run import Outcome, Request, Run, Stage
from services.store import Database, alerts, loop, queued_labels
from services.store.alerts import KnownAlert
from services.store.queued_labels import Arrived, NewLabels
from tests.retraining_data import label_id, queued
from tests.triage_data import NOW

LATER = NOW + timedelta(minutes=5)


def arrived(name: str, **fields: Any) -> Arrived:
    record = queued(name, **fields)
    return Arrived(
        label_id=UUID(record["label_id"]),
        tenant_id=record["tenant_id"],
        conversation_id=record["conversation_id"],
        disposition=record["disposition"],
        category=record["category"],
        labelled_at=NOW,
        supersedes=UUID(record["supersedes"]) if record["supersedes"] else None,
        record=record,
    )


def put(database: Database, *labels: Arrived) -> list[bool]:
    with database.write() as tx:
        return [queued_labels.put(tx, label, NOW) for label in labels]


def standing(database: Database) -> set[str]:
    with database.read() as tx:
        return {record["label_id"] for record in queued_labels.standing(tx)}


def ids(*names: str) -> set[str]:
    return {str(label_id(name)) for name in names}


def run(**fields: Any) -> Run:
    facts = {"trigger": "labels", "reason": "enough", "requested_by": None, "mode": "refresh"}
    place = {"run_id": uuid4(), "number": 0, "stage": Stage.ASSEMBLING, "started_at": NOW, "stage_began_at": NOW}
    return Run(**{**facts, **place, **fields})


def test_a_label_is_kept_once_however_often_it_comes(database: Database) -> None:
    assert put(database, arrived("a"), arrived("b"), arrived("a")) == [True, True, False]
    assert put(database, arrived("a", category="sabotage")) == [False]
    with database.read() as tx:
        assert sorted(queued_labels.standing(tx), key=str) == sorted([queued("a"), queued("b")], key=str)


def test_a_withdrawn_label_does_not_stand_and_does_not_come_back(database: Database) -> None:
    put(database, arrived("a"), arrived("b"))
    with database.write() as tx:
        assert queued_labels.withdraw(tx, label_id("a"), "acme", "conversation-a", NOW)
        assert not queued_labels.withdraw(tx, label_id("a"), "acme", "conversation-a", NOW)
    assert put(database, arrived("a")) == [False]
    assert standing(database) == ids("b")


def test_a_label_that_is_withdrawn_before_it_comes_never_stands(database: Database) -> None:
    with database.write() as tx:
        assert not queued_labels.withdraw(tx, label_id("a"), "acme", "conversation-a", NOW)
    assert put(database, arrived("a")) == [False]
    assert standing(database) == set()


def test_another_tenant_takes_nothing_back(database: Database) -> None:
    put(database, arrived("a"))
    with database.write() as tx:
        assert not queued_labels.withdraw(tx, label_id("a"), "other", "conversation-a", NOW)
        assert queued_labels.erase(tx, "other", "conversation-a", [label_id("a")], NOW) == 0
    assert standing(database) == ids("a")


def test_a_label_supersedes_the_one_before(database: Database) -> None:
    put(database, arrived("a"), arrived("b", supersedes=str(label_id("a")), conversation="conversation-a"))
    assert standing(database) == ids("b")


def test_of_what_is_erased_a_mark_is_left_that_names_nothing(database: Database) -> None:
    put(database, arrived("a", conversation="hers"), arrived("b", conversation="hers"), arrived("c"))
    with database.write() as tx:
        queued_labels.withdraw(tx, label_id("b"), "acme", "hers", NOW)
        assert queued_labels.erase(tx, "acme", "hers", [label_id("a"), label_id("to come")], LATER) == 2
        assert queued_labels.erase(tx, "acme", "hers", [label_id("a"), label_id("to come")], LATER) == 0
        assert queued_labels.erased(tx) == {label_id("a"), label_id("b"), label_id("to come")}
        assert queued_labels.states(tx) == {"standing": 1, "erased": 3}
    assert put(database, arrived("a", conversation="hers"), arrived("to come", conversation="hers")) == [False, False]
    assert standing(database) == ids("c")


def test_new_labels_are_counted_by_what_they_say(database: Database) -> None:
    with database.read() as tx:
        assert queued_labels.new(tx) == NewLabels({}, 0, 0, 0, None)
        assert queued_labels.oldest_at(tx) is None
    put(database, arrived("a"), arrived("b"), arrived("c", category="sabotage"), arrived("d", disposition="dismissed"))
    put(database, arrived("e", disposition="dismissed", origin="audit"), arrived("f"))
    with database.write() as tx:
        queued_labels.withdraw(tx, label_id("f"), "acme", "conversation-f", NOW)
        found = queued_labels.new(tx)
    assert found == NewLabels({"deception": 2, "sabotage": 1}, 2, 4, 1, NOW)
    assert found.total == 5


def test_a_run_counts_labels_that_no_other_run_has_counted(database: Database) -> None:
    put(database, arrived("a"), arrived("b"))
    with database.write() as tx:
        first = loop.open_run(tx, run())
        assert queued_labels.new(tx).total == 0
    assert (first.number, first.new_labels) == (1, 2)
    put(database, arrived("a"), arrived("c"))
    with database.write() as tx:
        assert loop.save(tx, first.ended(Outcome.FAILED, "it failed", LATER))
        second = loop.open_run(tx, run())
    assert (second.number, second.new_labels) == (2, 1)
    assert standing(database) == ids("a", "b", "c")
    with database.read() as tx:
        assert queued_labels.oldest_at(tx) == NOW


def test_a_run_reads_back_as_it_was_left(database: Database) -> None:
    with database.write() as tx:
        opened = loop.open_run(tx, run(champion="b1", requested_by="ada", trigger="manual"))
        assert loop.unfinished(tx) == opened
        trained = opened.advanced(LATER, dataset="ds-1", report={"assembly": {"parts": {"train": 3}}})
        assert loop.save(tx, trained)
        loop.progress(tx, opened.run_id, Stage.TRAINING, 0.5, "half")
        loop.progress(tx, opened.run_id, Stage.ASSEMBLING, 0.9, "too late")
        (found,) = loop.latest(tx, limit=5)
    assert (found.stage, found.progress, found.said, found.report) == (Stage.TRAINING, 0.5, "half", trained.report)
    ended = found.ended(Outcome.REFUSED, "worse", LATER)
    with database.write() as tx:
        assert loop.save(tx, ended)
        assert not loop.save(tx, trained)
        assert loop.unfinished(tx) is None
        assert loop.latest(tx, limit=5) == [ended]
        assert loop.since(tx, NOW) == []
        assert loop.since(tx, NOW - timedelta(seconds=1)) == [ended]


def test_a_run_answers_all_requests_that_wait(database: Database) -> None:
    requests = [Request(uuid4(), "ada", f"reason {n}", None, NOW + timedelta(minutes=n)) for n in range(3)]
    with database.write() as tx:
        for each in (requests[1], requests[0]):
            loop.ask(tx, each)
        assert loop.waiting(tx) == requests[:2]
        opened = loop.open_run(tx, run())
        assert loop.waiting(tx) == []
        loop.ask(tx, requests[2])
        assert loop.waiting(tx) == [requests[2]]
        assert loop.save(tx, opened.ended(Outcome.NOTHING_NEW, "nothing", LATER))
        assert loop.waiting(tx) == [requests[2]]


@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_alerts_that_fire_are_found_by_name_with_when_they_began(database: Database, status: str) -> None:
    with database.write() as tx:
        for number, name in enumerate(("InputDrift", "InputDrift", "AgentBurn")):
            place = {"severity": None, "tenant_id": None, "conversation_id": None, "case_id": None, "labels": {}}
            times = {"starts_at": NOW + timedelta(hours=number), "ends_at": None, "received_at": NOW}
            alerts.keep(tx, KnownAlert(fingerprint=f"{number:x}", alertname=name, status=status, **place, **times))
        found = alerts.firing_since(tx, ["InputDrift", "ScoreDrift"])
    assert found == ({"InputDrift": NOW + timedelta(hours=1)} if status == "firing" else {})
