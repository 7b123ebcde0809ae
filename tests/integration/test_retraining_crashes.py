"""The retrainer is killed at every step of a run: it goes on, nothing half-made is ever seen, labels count once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import psutil
import pytest
from pydantic import SecretStr
from sqlmodel import col, select

from deploy.kafka.local import LocalKafka
from deploy.registry import open_registry
from deploy.rollout.state import Step
from services.errors import TransientError
from services.kafka import KafkaSink
from services.kafka.topics import committed_offsets, end_offsets
from services.records import Outgoing
from services.retraining.run import Outcome
from services.settings import Settings
from services.store import Database, audit, loop, open_engine
from services.store.loop_tables import QueuedLabelRow
from tests import retraining_process
from tests.forked import Forked, import_beforehand
from tests.processes import environment
from tests.retraining_children import whole
from tests.retraining_data import erased, label_id, queued, small_bundle, withdrawn
from tests.retraining_hooks import STEPS

pytestmark = [pytest.mark.integration, pytest.mark.long]
PATIENCE = 120.0
import_beforehand("tests.retraining_process")
NAMES = [f"label-{number}" for number in range(6)]


def variables(settings: Settings, folder: Path) -> dict[str, str]:
    return environment(settings) | {
        "PLUMBLINE_BUNDLE": str(folder / "champion"),
        "PLUMBLINE_REGISTRY": str(folder / "registry"),
        "PLUMBLINE_REGISTRY_CACHE": str(folder / "cache"),
        "PLUMBLINE_RETRAINING_FOLDER": str(folder / "retraining"),
        "PLUMBLINE_RETRAINING_NEW_LABELS": str(len(NAMES)),
        "PLUMBLINE_RETRAINING_QUIET_MINUTES": "0",
        "PLUMBLINE_RETRAINING_PAUSE_HOURS": "0",
        "PLUMBLINE_RETRAINING_POLL_SECONDS": "0.1",
    }


@contextmanager
def retraining(settings: Settings, step: str, folder: Path) -> Iterator[Forked]:
    main, log = retraining_process.main, folder / "retrainer.log"
    started = Forked(main, step, folder / "steering", environment=variables(settings, folder), log=log)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def wait_for(ready: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < until, log.read_text()[-5000:]
        time.sleep(0.1)


class Visible:
    """Looks, all the time, at what others could see: whatever stands in its place must be whole."""

    def __init__(self, folder: Path) -> None:
        self._datasets = folder / "retraining" / "datasets"
        self._registry = open_registry(str(folder / "registry"))
        self._fetched = folder / "looked at"
        self.looks = 0

    def look(self) -> None:
        for dataset in self._datasets.glob("ds-*/"):
            whole(dataset)
        for version in self._registry.versions():
            self._registry.fetch(version, self._fetched)
        if rollout := self._registry.rollout():
            self._registry.describe(rollout.stable)
            if rollout.candidate:
                self._registry.describe(rollout.candidate)
        self.looks += 1

    def until(self, over: Event) -> None:
        while not over.wait(0.05):
            self.look()


def told_twice(settings: Settings) -> None:
    """The queue says everything twice; one label is taken back, and one conversation is erased."""
    records = [*map(queued, NAMES), queued("mistaken"), withdrawn("mistaken"), queued("hers")]
    records.append(erased("conversation-hers", "hers"))
    topic = settings.topic("retraining.queue")
    with KafkaSink(settings) as sink:
        for _ in range(2):
            sink.deliver(
                [Outgoing(topic, record["conversation_id"].encode(), json.dumps(record).encode()) for record in records]
            )


@pytest.mark.parametrize("step", STEPS)
def test_a_run_comes_to_its_end_once_whenever_the_process_dies(
    kafka: LocalKafka, make_settings: Callable[..., Settings], postgres_copy: str, tmp_path: Path, step: str
) -> None:
    settings = make_settings(kafka.bootstrap_servers, database_url=SecretStr(postgres_copy))
    database = Database(open_engine(postgres_copy))
    champion = small_bundle(tmp_path / "champion")
    steering = tmp_path / "steering"
    steering.mkdir()
    inside = step.endswith(": inside")
    child = {"assembling": "assemble", "training": "train", "gating": "gate"}.get(step.split(":")[0], "")
    if inside:
        (steering / f"pause {child}").touch()
    told_twice(settings)
    visible, over = Visible(tmp_path), Event()
    with ThreadPoolExecutor(1) as looking:
        looked = looking.submit(visible.until, over)
        try:
            with retraining(settings, step, tmp_path) as first:
                wait_for(lambda: gone(first), tmp_path / "retrainer.log")
                assert first.returncode == -signal.SIGKILL
            if inside:
                orphan = int((steering / f"half {child}").read_text())
                wait_for(lambda: not psutil.pid_exists(orphan), tmp_path / "retrainer.log")
                (steering / f"pause {child}").unlink()
            with retraining(settings, step, tmp_path) as second:
                again = steering / "again"
                wait_for(
                    lambda: gone(second) or (again.exists() and ended(database) and read(settings)),
                    tmp_path / "retrainer.log",
                )
                assert not gone(second), (tmp_path / "retrainer.log").read_text()[-5000:]
                second.terminate()
                assert second.wait(PATIENCE) == 0
        finally:
            over.set()
        looked.result(PATIENCE)
    assert visible.looks
    visible.look()
    check(database, tmp_path, champion)
    database.engine.dispose()


def gone(process: Forked) -> bool:
    return process.returncode is not None


def ended(database: Database) -> bool:
    with database.read() as tx:
        runs = loop.latest(tx, limit=10)
    return bool(runs) and runs[0].outcome is not None


def read(settings: Settings) -> bool:
    """Whether all of the queue has been committed."""
    topic = settings.topic("retraining.queue")
    try:
        committed = committed_offsets(settings, settings.topic("retrainer"))
    except TransientError:  # the broker's first group takes a moment
        return False
    return all(committed.get((topic, each), 0) >= end for each, end in end_offsets(settings, topic).items())


def check(database: Database, folder: Path, champion: str) -> None:
    """One run, of which one candidate came, that learnt from every label once."""
    expected = {str(label_id(name)) for name in NAMES}
    with database.read() as tx:
        (run,) = loop.latest(tx, limit=10)
        counted = tx.execute(select(QueuedLabelRow.label_id).where(col(QueuedLabelRow.counted_in) == run.run_id))
        standing = tx.execute(select(QueuedLabelRow.label_id).where(col(QueuedLabelRow.state) == "standing"))
        assert set(map(str, standing.scalars())) == expected
        assert expected <= set(map(str, counted.scalars()))
        assert audit.verify(tx).broken_at is None
        actions = [entry.action for entry in audit.entries(tx) if entry.action.startswith("retraining.")]
    assert (run.outcome, run.champion) == (Outcome.PUBLISHED, champion)
    assert actions == ["retraining.started", "retraining.published"]
    assert {dataset.name: whole(dataset) for dataset in (folder / "retraining/datasets").glob("ds-*/")} == {
        run.dataset: expected
    }
    registry = open_registry(str(folder / "registry"))
    assert sorted(registry.versions()) == sorted([champion, str(run.candidate)])
    history = registry.rollout_history(10)
    assert [(each.revision, each.step, each.candidate) for each in history] == [
        (2, Step.STARTED, run.candidate),
        (1, Step.STARTED, None),
    ]
    assert [path.name for path in folder.rglob(".work-*")] == []
