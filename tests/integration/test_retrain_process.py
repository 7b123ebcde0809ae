"""The retrainer as it runs in production: `plumbline retrain serve` on real Kafka and PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.kafka.local import LocalKafka
from deploy.registry import open_registry
from services.errors import TransientError
from services.kafka import KafkaSink, read_topic
from services.kafka.topics import committed_offsets, end_offsets
from services.records import Outgoing
from services.settings import Settings
from services.store import Database, audit, open_engine, queued_labels
from tests.processes import environment
from tests.retraining_data import queued, small_bundle
from tests.servers import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.long]
PATIENCE = 120.0


@contextmanager
def serving(settings: Settings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    more = {
        "PLUMBLINE_BUNDLE": str(folder / "champion"),
        "PLUMBLINE_REGISTRY": str(folder / "registry"),
        "PLUMBLINE_RETRAINING_FOLDER": str(folder / "retraining"),
        "PLUMBLINE_RETRAINING_POLL_SECONDS": "0.1",
        "PLUMBLINE_ROLLOUT_POLL_SECONDS": "0.1",
    }
    argv = [sys.executable, "-m", "services.cli", "retrain", "serve"]
    with (folder / "log").open("ab") as log:
        started = subprocess.Popen(argv, env=environment(settings) | more, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def test_the_retrainer_keeps_labels_and_sees_to_the_first_rollout(
    kafka: LocalKafka, make_settings: Callable[..., Settings], postgres_copy: str, tmp_path: Path
) -> None:
    settings = make_settings(kafka.bootstrap_servers, database_url=SecretStr(postgres_copy))
    database, registry = Database(open_engine(postgres_copy)), open_registry(str(tmp_path / "registry"))
    champion = small_bundle(tmp_path / "champion")
    topic = settings.topic("retraining.queue")
    values = [json.dumps(queued(name)).encode() for name in "abc"]
    with KafkaSink(settings) as sink:
        sink.deliver([Outgoing(topic, b"acme/c", value) for value in [*values, b"{", *values]])

    def done() -> bool:
        try:
            committed = committed_offsets(settings, settings.topic("retrainer"))
        except TransientError:  # the broker's first group takes a moment
            return False
        read = all(committed.get((topic, each), 0) >= end for each, end in end_offsets(settings, topic).items())
        with database.read() as tx:
            told = [entry.action for entry in audit.entries(tx)]
        return read and told == ["rollout.started"]

    with serving(settings, tmp_path) as retrainer:
        until = time.monotonic() + PATIENCE
        while not done():
            assert retrainer.poll() is None, (tmp_path / "log").read_text()[-5000:]
            assert time.monotonic() < until, (tmp_path / "log").read_text()[-5000:]
            time.sleep(0.2)
        retrainer.terminate()
        assert retrainer.wait(PATIENCE) == 0
    rollout = registry.rollout()
    assert rollout is not None
    assert (rollout.revision, rollout.stable, rollout.candidate) == (1, champion, None)
    assert registry.versions() == [champion]
    with database.read() as tx:
        assert len(list(queued_labels.standing(tx))) == 3
    (letter,) = read_topic(settings, f"{topic}.dead")
    assert letter.value == b"{"
    assert "settled" not in (tmp_path / "log").read_text()
    database.engine.dispose()
