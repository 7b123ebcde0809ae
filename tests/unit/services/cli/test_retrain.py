"""`plumbline retrain`: asking for a run, and what is shown of runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from deploy.registry import open_registry
from deploy.rollout import steps
from deploy.rollout.state import first
from services.cli.main import app
from services.errors import SettingsError
from services.process import run_retrainer
from services.retraining.run import Outcome, Run, Stage
from services.schema import upgrade
from services.settings import load_settings
from services.store import Database, audit, loop, open_engine, queued_labels
from services.store.queued_labels import Arrived
from tests.retraining_data import label_id, queued

NOW = datetime.now(UTC)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    url = f"sqlite:///{tmp_path / 'plumbline.db'}"
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", url)
    engine = open_engine(url)
    upgrade(engine)
    return Database(engine)


def plumbline(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["retrain", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def label(database: Database, *names: str) -> None:
    with database.write() as tx:
        for name in names:
            facts = ("acme", name, "confirmed", "deception", NOW, None, queued(name))
            queued_labels.put(tx, Arrived(label_id(name), *facts), NOW)


def run(database: Database, **fields: object) -> Run:
    facts = {"trigger": "labels", "reason": "enough", "requested_by": None, "mode": "refresh", "champion": "b-1"}
    place = {"run_id": uuid4(), "number": 0, "stage": Stage.ASSEMBLING, "started_at": NOW, "stage_began_at": NOW}
    with database.write() as tx:
        return loop.open_run(tx, Run(**{**facts, **place, **fields}))  # type: ignore[arg-type]


def test_who_asks_for_a_run_says_why(database: Database) -> None:
    assert "asked for" in plumbline("now", "--reason", "the taxonomy\nchanged", "--mode", "full")
    with database.read() as tx:
        (request,) = loop.waiting(tx)
        (entry,) = audit.entries(tx)
    assert (request.reason, request.mode, request.requested_by[:4]) == ("the taxonomy changed", "full", "cli:")
    assert (entry.action, entry.details) == ("retraining.asked", {"reason": "the taxonomy changed", "mode": "full"})
    assert CliRunner().invoke(app, ["retrain", "now", "--reason", " "]).exit_code == 2
    assert CliRunner().invoke(app, ["retrain", "now"]).exit_code == 2
    assert "a run starts now (manual): the taxonomy changed" in plumbline("status")


def test_what_a_run_waits_for_is_shown(database: Database) -> None:
    assert "no run is under way\nnext: no label is new" in plumbline("status")
    label(database, "a", "b")
    told = json.loads(plumbline("status", "--json"))
    assert told["new_labels"] == {"confirmed": {"deception": 2}, "dismissed": 0, "flags": 2, "dismissed_flags": 0}
    assert told["next"].startswith("2 labels are new: of one category at most 2 confirmed, 20 are enough")
    assert (told["under_way"], told["runs"], told["labels"]) == (None, [], {"standing": 2})
    assert "2 deception (20 of one category start a run), dismissed 0" in plumbline("status")


def test_the_run_under_way_is_shown(database: Database) -> None:
    label(database, "a")
    under_way = run(database)
    with database.write() as tx:
        loop.progress(tx, under_way.run_id, Stage.ASSEMBLING, 0.42, "reading \x1b[31m")
    shown = plumbline("status")
    assert "run 1 is assembling, 42%, attempt 1: reading  [31m" in shown
    assert "next: run 1 is under way" in shown
    told = json.loads(plumbline("status", "--json"))["under_way"]
    assert (told["number"], told["stage"], told["progress"], told["new_labels"]) == (1, "assembling", 0.42, 1)


def test_why_the_last_candidate_was_refused_is_shown(database: Database) -> None:
    refusal = {"slice": "language/de", "metric": "recall", "champion": 0.8, "candidate": 0.5, "margin": 0.1}
    opened = run(database)
    with database.write() as tx:
        loop.save(tx, opened.ended(Outcome.REFUSED, "language/de", NOW, report={"refusals": [refusal]}))
    assert "the last refusal: language/de: recall 0.5 after 0.8, margin 0.1" in plumbline("status")
    told = json.loads(plumbline("status", "--json"))
    assert told["refusals"] == [refusal]
    assert told["runs"][0]["outcome"] == "refused"


def test_a_candidate_on_its_way_is_a_reason_to_wait(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("PLUMBLINE_RETRAINING_NEW_LABELS", "1")
    registry = open_registry(str(tmp_path / "registry"))
    registry.move(first("b-1", NOW))
    label(database, "a")
    newest = registry.rollout()
    assert newest is not None
    registry.move(steps.start(newest, "b-2", actor="ada", reason="by hand", at=NOW))
    assert "b-2 is on its way" in plumbline("status")


def test_a_retrainer_without_a_registry_does_not_start(database: Database, tmp_path: Path) -> None:
    from threading import Event

    settings = load_settings(metrics_port=0, retraining_folder=tmp_path / "retraining")
    with pytest.raises(SettingsError, match="PLUMBLINE_REGISTRY"):
        run_retrainer(settings, Event())
