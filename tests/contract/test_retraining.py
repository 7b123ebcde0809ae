"""Runs from labels to a candidate on its way, with quick children: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import psutil
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from deploy.registry import Registry, open_registry
from deploy.rollout import steps
from deploy.rollout.state import RolloutStage
from services.retrain_process import Retrainer, ledger_of, retrainer_of
from services.retraining.commands import Commands
from services.retraining.errors import Interrupted
from services.retraining.run import Outcome, Request, Run, Stage
from services.settings import Settings, load_settings
from services.store import Database, audit, loop, queued_labels
from services.stream import Handled
from tests.retraining_children import fake_commands, whole
from tests.retraining_data import erased, label_id, queued, small_bundle
from tests.triage_data import NOW

PATIENCE = 60.0


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Site:
    """An installation with a retrainer."""

    settings: Settings
    database: Database
    registry: Registry
    folder: Path
    clock: Clock
    metrics: CollectorRegistry
    retrainer: Retrainer
    champion: str

    def tell(self, *records: dict[str, object]) -> Handled:
        """The queue says this."""
        keeper = self.retrainer.keeper
        lines = [record_of(record) for record in records]
        return keeper.complete(keeper.prepare(lines))

    def label(self, *names: str, **fields: object) -> None:
        self.tell(*(queued(name, **fields) for name in names))  # type: ignore[arg-type]

    def steps(self, most: int = 20) -> None:
        """Until there is nothing to do."""
        for _ in range(most):
            if not self.retrainer.conductor.step(Event()):
                return

    def runs(self) -> list[Run]:
        with self.database.read() as tx:
            return loop.latest(tx, limit=100)[::-1]

    def ask(self, reason: str, mode: str | None = None) -> None:
        with self.database.write() as tx:
            loop.ask(tx, Request(uuid4(), "ada", reason, mode, self.clock()))  # type: ignore[arg-type]

    def move(self, step: Callable[..., object]) -> None:
        rollout = self.registry.rollout()
        assert rollout is not None
        self.registry.move(step(rollout, actor="ada", reason="by hand", at=self.clock()))  # type: ignore[arg-type]

    def datasets(self) -> dict[str, set[str]]:
        return {folder.name: whole(folder) for folder in (self.folder / "retraining/datasets").glob("ds-*/")}

    def marks(self) -> dict[str, dict[str, Any]]:
        """What is left of versions that were erased from."""
        marks = (self.folder / "retraining/datasets").glob("*.erased.json")
        return {mark.name.removesuffix(".erased.json"): json.loads(mark.read_text()) for mark in marks}

    def assembled_from(self) -> list[str]:
        return (self.folder / "steering/previous").read_text().split()

    def told_of_erasing(self) -> list[tuple[str, dict[str, Any]]]:
        with self.database.read() as tx:
            found = [entry for entry in audit.entries(tx) if entry.action == "dataset.erased"]
        return [(entry.object, entry.details) for entry in found]

    def actions(self) -> list[str]:
        with self.database.read() as tx:
            assert audit.verify(tx).broken_at is None
            return [entry.action for entry in audit.entries(tx)]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.get_sample_value(f"plumbline_{name}", labels)


def record_of(record: dict[str, object] | bytes, offset: int = 0):  # type: ignore[no-untyped-def]
    from services.records import Record

    value = record if isinstance(record, bytes) else json.dumps(record).encode()
    return Record("plumbline.retraining.queue", 0, offset, b"k", value, NOW)


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    return made(database, tmp_path)


def said(number: int) -> list[dict[str, Any]]:
    """Words that no other conversation has."""
    drawn = random.Random(number)
    words = " ".join("".join(drawn.choices("bdfgklmnprstv", k=2)) + drawn.choice("aeiou") for _ in range(40))
    return [{"role": "assistant", "parts": [{"type": "text", "content": words}]}]


def made(database: Database, folder: Path, **fields: Any) -> Site:
    """`fields` are of the settings, or programs instead of the quick ones."""
    champion = folder / "champion"
    version = small_bundle(champion)
    (folder / "steering").mkdir()
    programs = {each.name: fields.pop(each.name) for each in dataclasses.fields(Commands) if each.name in fields}
    settings = load_settings(
        database_url=SecretStr("sqlite://"),
        bundle=champion,
        registry=str(folder / "registry"),
        registry_cache=folder / "cache",
        retraining_folder=folder / "retraining",
        retraining_new_labels=3,
        retraining_pause_hours=0,
        retraining_quiet_minutes=0,
        **fields,
    )
    registry, clock, metrics = open_registry(str(folder / "registry")), Clock(), CollectorRegistry()
    commands = replace(fake_commands(folder / "steering"), **programs)
    retrainer = retrainer_of(settings, database, metrics, commands=commands, clock=clock)
    return Site(settings, database, registry, folder, clock, metrics, retrainer, version)


def test_enough_labels_become_a_candidate_that_is_on_its_way(site: Site) -> None:
    site.label("a", "b")
    site.steps()
    assert site.runs() == []
    first = site.registry.rollout()
    assert first is not None
    assert (first.revision, first.stage, first.stable) == (1, RolloutStage.STEADY, site.champion)
    site.label("c")
    site.steps()
    (run,) = site.runs()
    assert (run.trigger, run.outcome, run.new_labels, run.champion) == ("labels", Outcome.PUBLISHED, 3, site.champion)
    assert run.reason == "new confirmed labels: 3 of deception; 3 are enough"
    rollout = site.registry.rollout()
    assert rollout is not None
    assert (rollout.revision, rollout.stage, rollout.candidate) == (2, RolloutStage.SHADOW, run.candidate)
    assert (rollout.stable, rollout.actor, rollout.reason) == (site.champion, "plumbline", f"run 1: {run.reason}")
    assert site.datasets() == {run.dataset: {str(label_id(name)) for name in "abc"}}
    facts = site.registry.describe(str(run.candidate)).facts
    assert (facts["parent"], facts["dataset"], facts["run"]) == (site.champion, run.dataset, 1)
    assert site.actions() == ["retraining.started", "retraining.published"]
    assert site.metric("retraining_runs_total", trigger="labels", outcome="published") == 1
    assert site.metric("dataset_examples", part="train") == 1
    assert site.metric("gate_slices", outcome="passed") == 2
    assert [site.metric("retraining_stage", stage=stage.value) for stage in list(Stage)[:4]] == [0, 0, 0, 0]
    leftovers = [path for path in site.folder.rglob("*") if path.name.startswith(".work-")]
    assert leftovers == []


def test_while_a_candidate_is_on_its_way_no_run_starts_by_itself(site: Site) -> None:
    site.label("a", "b", "c")
    site.steps()
    site.label("d", "e", "f")
    site.steps()
    assert len(site.runs()) == 1
    site.move(steps.promote)
    site.clock.now += timedelta(minutes=1)
    site.steps()
    first, second = site.runs()
    assert (second.outcome, second.champion, second.new_labels) == (Outcome.PUBLISHED, first.candidate, 3)
    assert site.datasets()[str(second.dataset)] == {str(label_id(name)) for name in "abcdef"}


def test_a_candidate_that_the_gate_refuses_goes_nowhere_and_says_why(site: Site) -> None:
    (site.folder / "steering/refuse").touch()
    site.label("a", "b", "c")
    site.steps()
    (run,) = site.runs()
    assert (run.stage, run.outcome) == (Stage.ENDED, Outcome.REFUSED)
    assert run.said == "category/deception: recall 0.4 after 0.9, margin 0.05"
    assert run.report is not None
    assert run.report["refusals"][0]["examples"] == ["acme/conversation-a", "e1"]
    site.tell(erased("conversation-a", "a"))
    (report,) = (run.report for run in site.runs())
    assert report is not None
    assert report["refusals"][0]["examples"] == ["e1"]
    rollout = site.registry.rollout()
    assert rollout is not None
    assert rollout.revision == 1
    assert site.registry.versions() == [site.champion]
    assert site.actions() == ["retraining.started", "retraining.refused", "labels.erased", "dataset.erased"]
    assert site.metric("gate_slices", outcome="failed") == 1
    site.clock.now += timedelta(days=1)
    site.steps()
    assert len(site.runs()) == 1


def test_what_a_run_has_learnt_already_is_nothing_new_unless_somebody_asks(site: Site) -> None:
    (site.folder / "steering/refuse").touch()
    site.label("a", "b", "c")
    site.steps()
    site.label("d")
    with site.database.write() as tx:
        queued_labels.withdraw(tx, label_id("d"), "acme", "conversation-d", NOW)
    site.clock.now += timedelta(days=31)
    site.steps()
    assert [(run.trigger, run.outcome) for run in site.runs()][1:] == [("schedule", Outcome.NOTHING_NEW)]
    site.ask("try the whole encoder", "full")
    site.steps()
    last = site.runs()[-1]
    assert (last.trigger, last.requested_by, last.reason) == ("manual", "ada", "try the whole encoder")
    assert (last.mode, last.outcome) == ("full", Outcome.REFUSED)
    site.ask("again")
    site.steps()
    assert (site.runs()[-1].mode, site.runs()[-1].outcome) == ("refresh", Outcome.REFUSED)


def test_without_labels_there_is_nothing_to_learn(site: Site) -> None:
    site.ask("now")
    site.steps()
    (run,) = site.runs()
    assert (run.outcome, run.said) == (Outcome.NOTHING_NEW, "there are no labels")


@pytest.mark.parametrize("what", ["assemble", "train", "gate"])
def test_a_stage_that_fails_is_tried_again_and_given_up_in_the_end(site: Site, what: str) -> None:
    (site.folder / f"steering/fail {what}").touch()
    site.label("a", "b", "c")
    for _ in range(10):
        site.retrainer.conductor.step(Event())
    (run,) = site.runs()
    assert (run.stage, run.outcome) == (Stage.ENDED, Outcome.FAILED)
    assert run.said is not None
    assert run.said.endswith("failed 3 times: ended with exit status 1")
    assert site.registry.versions() == [site.champion]
    assert site.actions() == ["retraining.started", "retraining.failed"]
    (site.folder / f"steering/fail {what}").unlink()
    site.ask("it is mended")
    site.steps()
    again = site.runs()[1]
    assert (again.outcome, again.new_labels) == (Outcome.PUBLISHED, 0)
    assert site.datasets()[str(again.dataset)] == {str(label_id(name)) for name in "abc"}


def test_a_stage_that_fails_once_goes_on(site: Site) -> None:
    (site.folder / "steering/fail train").touch()
    site.label("a", "b", "c")
    for _ in range(2):
        site.retrainer.conductor.step(Event())
    (run,) = site.runs()
    assert (run.stage, run.attempts, run.said) == (Stage.TRAINING, 1, "ended with exit status 1")
    (site.folder / "steering/fail train").unlink()
    site.steps()
    assert site.runs()[0].outcome is Outcome.PUBLISHED


def test_a_stage_that_takes_too_long_is_ended(database: Database, tmp_path: Path) -> None:
    site = made(database, tmp_path, retraining_stage_minutes=0.1, retraining_attempts=1)
    conductor = site.retrainer.conductor
    conductor._patience = replace(conductor._patience, stage=timedelta(seconds=0.01))
    (site.folder / "steering/pause assemble").touch()
    site.label("a", "b", "c")
    for _ in range(3):
        conductor.step(Event())
    (run,) = site.runs()
    assert run.outcome is Outcome.FAILED
    assert run.said is not None
    assert "took longer than" in run.said
    assert site.datasets() == {}


@contextmanager
def inside(site: Site, what: str) -> Iterator[Event]:
    """A conductor in the middle of a stage. What the event is set for has until the end of the block."""
    steering, stop = site.folder / "steering", Event()
    (steering / f"pause {what}").touch()
    with ThreadPoolExecutor(1) as pool:

        def work() -> None:
            while not stop.is_set() and site.retrainer.conductor.step(stop):
                pass

        working = pool.submit(work)
        until = time.monotonic() + PATIENCE
        while not (steering / f"half {what}").exists() and not working.done():
            assert time.monotonic() < until
            time.sleep(0.02)
        try:
            yield stop
        finally:
            (steering / f"pause {what}").unlink(missing_ok=True)
            with suppress(Interrupted):
                working.result(PATIENCE)


@pytest.mark.parametrize("what", ["assemble", "train", "gate"])
def test_a_stop_in_the_middle_costs_no_attempt_and_leaves_no_child(site: Site, what: str) -> None:
    site.label("a", "b", "c")
    with inside(site, what) as stop:
        child = int((site.folder / f"steering/half {what}").read_text())
        stop.set()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    (run,) = site.runs()
    assert (run.outcome, run.attempts) == (None, 0)
    another = retrainer_of(
        site.settings,
        site.database,
        CollectorRegistry(),
        commands=fake_commands(site.folder / "steering"),
        clock=site.clock,
    )
    assert not another.conductor.step(Event())  # the lease is the first one's still
    site.clock.now += timedelta(minutes=1)
    site.retrainer = another
    site.steps()
    assert [each.outcome for each in site.runs()] == [Outcome.PUBLISHED]


@pytest.mark.parametrize("what", ["assemble", "train", "gate"])
def test_what_is_erased_in_the_middle_of_a_run_is_in_nothing_that_comes_of_it(site: Site, what: str) -> None:
    site.label("a", "b", "c", "d")
    with inside(site, what):
        site.tell(erased("conversation-b", "b"))
    site.steps()
    (run,) = site.runs()
    assert run.outcome is Outcome.PUBLISHED
    assert site.datasets() == {run.dataset: {str(label_id(name)) for name in "acd"}}
    folder = site.registry.fetch(str(run.candidate), site.folder / "fetched")
    assert json.loads((folder / "manifest.json").read_text())["training"]["dataset"] == run.dataset


def test_what_is_left_of_a_version_takes_its_place_and_the_next_one_is_assembled_from_it(site: Site) -> None:
    site.label("a", "b", "c")
    site.steps()
    (run,) = site.runs()
    site.tell(erased("conversation-b", "b"))
    ((left, labels),) = site.datasets().items()
    assert labels == {str(label_id(name)) for name in "ac"}
    ((name, mark),) = site.marks().items()
    assert (name, mark["successor"], len(mark["erased_labels"])) == (run.dataset, left, 1)
    assert not any(word in json.dumps(mark) for word in ("conversation", str(label_id("b"))))
    assert {each.name for each in (site.folder / "retraining/datasets").iterdir()} == {left, f"{name}.erased.json"}
    assert site.actions()[-2:] == ["labels.erased", "dataset.erased"]
    assert site.told_of_erasing() == [(run.dataset, {"labels": 1, "successor": left})]
    before = len(site.actions())
    site.tell(erased("conversation-b", "b"), queued("b"))
    assert len(site.actions()) == before
    site.tell(erased("conversation-a", "a"))
    ((last, labels),) = site.datasets().items()
    assert labels == {str(label_id("c"))}
    site.move(steps.promote)
    site.label("e", "f", "g")
    site.steps()
    assert site.assembled_from() == ["None", last]
    assert site.datasets()[str(site.runs()[-1].dataset)] == {str(label_id(name)) for name in "cefg"}


def test_of_versions_that_nothing_is_assembled_from_any_more_nothing_is_left(site: Site) -> None:
    site.label("a", "b", "c")
    site.steps()
    site.move(steps.promote)
    site.clock.now += timedelta(minutes=1)
    site.label("d", "e", "f")
    site.steps()
    first, second = site.runs()
    site.tell(erased("conversation-a", "a"))
    assert list(site.datasets().values()) == [{str(label_id(name)) for name in "bcdef"}]
    assert site.marks()[str(first.dataset)]["successor"] is None
    assert site.marks()[str(second.dataset)]["successor"] in site.datasets()


def test_where_nothing_can_be_left_of_a_version_it_goes_all_the_same_and_an_older_one_will_do(site: Site) -> None:
    site.label("a", "b", "c")
    site.steps()
    site.move(steps.promote)
    site.clock.now += timedelta(minutes=1)
    site.label("d", "e", "f")
    site.steps()
    first, second = site.runs()
    (site.folder / "steering/fail forget").touch()
    site.tell(erased("conversation-d", "d"))
    assert set(site.datasets()) == {first.dataset}
    assert site.told_of_erasing() == [
        (second.dataset, {"labels": 1, "successor": None, "said": "ended with exit status 1"})
    ]
    site.ask("anew")
    site.clock.now += timedelta(minutes=1)
    site.steps()
    assert site.assembled_from()[-1] == first.dataset


def test_without_the_extra_a_version_goes_and_somebody_says_so(database: Database, tmp_path: Path) -> None:
    bare = (sys.executable, "-c", "import pyarrow_that_is_not_installed")
    site = made(database, tmp_path, forgetting=bare)
    site.label("a", "b", "c")
    site.steps()
    site.tell(erased("conversation-d", "d"))
    assert len(site.datasets()) == 1
    site.tell(erased("conversation-a", "a"))
    assert site.datasets() == {}
    ((_, told),) = site.told_of_erasing()
    assert told == {"labels": 1, "successor": None, "said": "the extra 'retrain' is missing"}


@pytest.mark.parametrize("what", ["train", "gate"])
def test_a_run_whose_dataset_is_erased_from_begins_again_from_what_is_left_of_it(site: Site, what: str) -> None:
    site.label("a", "b", "c", "d")
    with inside(site, what):
        (run,) = site.runs()
        site.tell(erased("conversation-b", "b"))
        left = site.marks()[str(run.dataset)]["successor"]
    site.steps()
    assert site.assembled_from() == ["None", left]
    assert site.runs()[0].outcome is Outcome.PUBLISHED


def test_who_takes_over_looks_at_what_the_one_before_left(site: Site) -> None:
    """It was killed when the dataset stood in its place, before it could see that something in it was erased."""
    site.label("a", "b", "c")
    site.steps()
    folder = site.folder / "retraining/datasets" / str(site.runs()[0].dataset)
    shutil.copytree(folder, site.folder / "made meanwhile")
    commands = fake_commands(site.folder / "steering")
    site.retrainer = retrainer_of(
        site.settings, site.database, CollectorRegistry(), commands=commands, clock=site.clock
    )
    site.tell(erased("conversation-a", "a"))
    (site.folder / "made meanwhile").rename(folder)
    site.clock.now += timedelta(minutes=1)
    site.steps()
    assert list(site.datasets().values()) == [{str(label_id(name)) for name in "bc"}]


def test_a_stop_while_something_is_erased_takes_nothing_away_before_its_time(site: Site) -> None:
    site.label("a", "b", "c")
    site.steps()
    with site.database.write() as tx:
        assert queued_labels.erase(tx, "acme", "conversation-a", [], NOW) == 1
    with inside(site, "forget") as stop:
        child = int((site.folder / "steering/half forget").read_text())
        stop.set()
        until = time.monotonic() + PATIENCE
        while psutil.pid_exists(child):
            assert time.monotonic() < until
            time.sleep(0.02)
    assert set(site.datasets()) == {site.runs()[0].dataset}
    site.steps()
    assert list(site.datasets().values()) == [{str(label_id(name)) for name in "bc"}]
    assert not list(site.folder.rglob(".work-*"))


@pytest.mark.retrain
@pytest.mark.long
def test_what_is_held_out_and_what_was_learnt_stays_so_where_something_is_erased(
    database: Database, tmp_path: Path
) -> None:
    """With the children that assemble and erase; training and gate are quick ones."""
    from retrain.datasets import Part, open_dataset

    site = made(database, tmp_path, assembling=Commands().assembling, forgetting=Commands().forgetting, salt="s")
    folder = site.folder / "retraining/datasets"
    for number in range(24):
        site.label(f"label-{number}", messages=said(number))
    site.steps()
    before = open_dataset(folder / str(site.runs()[0].dataset))
    gone = [before.parts[part][0] for part in Part]
    site.tell(*(erased(each.conversation_id, tenant=each.tenant_id) for each in gone))
    left = open_dataset(folder / site.marks()[before.name]["successor"])
    assert left.parts == {part: before.parts[part][1:] for part in Part}
    for path in folder.rglob("*"):
        text = path.read_bytes() if path.is_file() else b""
        assert not any(each.label_ids[0].encode() in text for each in gone)
    site.move(steps.promote)
    site.clock.now += timedelta(minutes=1)
    for number in range(24, 36):
        site.label(f"label-{number}", messages=said(number))
    site.steps()
    after = open_dataset(folder / str(site.runs()[-1].dataset))
    assert after.manifest.parent == left.name
    assert set(left.parts[Part.HELD_OUT]) <= set(after.parts[Part.HELD_OUT])
    assert set(left.manifest.seen) <= set(after.manifest.seen)


def test_what_another_process_erased_goes_from_disk_before_the_next_stage(site: Site) -> None:
    """Retention, or somebody on another machine: there is no record of it on the queue, or not yet."""
    site.label("a", "b", "c")
    site.steps()
    with site.database.write() as tx:
        assert queued_labels.erase(tx, "acme", "conversation-a", [], NOW) == 1
    site.steps()
    assert list(site.datasets().values()) == [{str(label_id(name)) for name in "bc"}]


def test_a_version_that_cannot_be_read_is_not_kept_where_something_is_erased(site: Site) -> None:
    site.label("a", "b", "c")
    site.steps()
    manifest = site.folder / "retraining/datasets" / str(site.runs()[0].dataset) / "manifest.json"
    manifest.write_text("{}")
    site.label("x")
    site.tell(erased("conversation-x", "x"))
    assert site.datasets() == {}


def test_a_candidate_waits_for_the_one_before_it_and_is_held_against_what_became_of_that(site: Site) -> None:
    site.label("a", "b", "c")
    site.steps()
    site.ask("now, please")
    site.label("d")
    site.clock.now += timedelta(minutes=1)
    site.steps()
    first, second = site.runs()
    assert (second.stage, second.attempts) == (Stage.PUBLISHING, 0)
    assert second.said == f"{first.candidate} is on its way: {second.candidate} waits until it has come to its end"
    assert site.registry.versions() == sorted([site.champion, str(first.candidate)])
    site.move(steps.promote)
    site.steps()
    _, second = site.runs()
    assert (second.outcome, second.champion) == (Outcome.PUBLISHED, first.candidate)
    assert second.report is not None
    assert second.report["champion"] == first.candidate
    rollout = site.registry.rollout()
    assert rollout is not None
    assert (rollout.stable, rollout.candidate) == (first.candidate, second.candidate)


def test_a_version_that_was_rolled_back_is_not_tried_again(site: Site) -> None:
    site.label("a", "b", "c")
    site.steps()
    site.move(steps.roll_back)
    site.clock.now += timedelta(days=1)
    site.ask("once more")
    site.steps()
    _, again = site.runs()
    assert (again.outcome, again.said) == (Outcome.NOTHING_NEW, f"{again.candidate} was a candidate before")


def test_one_of_several_drives(site: Site) -> None:
    site.label("a", "b", "c")
    others = [
        retrainer_of(
            site.settings,
            site.database,
            CollectorRegistry(),
            commands=fake_commands(site.folder / "steering"),
            ledger=ledger_of(site.database),
        )
        for _ in range(3)
    ]

    def drive(each: Retrainer) -> None:
        for _ in range(12):
            try:
                each.conductor.step(Event())
            except Interrupted:
                continue

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(drive, others))
    (run,) = site.runs()
    assert run.outcome is Outcome.PUBLISHED
    assert site.actions() == ["retraining.started", "retraining.published"]
    assert [each.revision for each in site.registry.rollout_history(10)] == [2, 1]


def test_a_process_that_lost_the_lease_changes_nothing(site: Site) -> None:
    site.label("a", "b", "c")
    with inside(site, "train"):
        site.clock.now += timedelta(minutes=5)
        other = ledger_of(site.database)
        assert other.hold(site.clock.now)
    (run,) = site.runs()
    assert (run.stage, run.candidate, run.attempts) == (Stage.TRAINING, None, 1)


def test_what_cannot_be_read_is_a_dead_letter_and_the_rest_is_kept(site: Site) -> None:
    keeper = site.retrainer.keeper
    bad = [b"{", b"[]", json.dumps({**queued("x"), "disposition": "unsure"}).encode()]
    bad.append(json.dumps({**queued("y"), "corrected_answer": "a\0b"}).encode())
    handled = keeper.complete(keeper.prepare([record_of(queued("a")), *map(record_of, bad), record_of(queued("a"))]))
    assert handled.outcomes == {"taken": 1, "known": 1}
    assert [letter.code for letter in handled.dead_letters] == ["not_json", "bad_label", "bad_label", "not_storable"]
    assert all("settled" not in letter.reason for letter in handled.dead_letters)
    assert site.metric("queued_labels_total", outcome="taken") == 1
