"""Real Kafka, real processes, real kills: every event ends with exactly one verdict, and no commit runs ahead."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from pydantic import SecretStr

from deploy.kafka.local import LocalKafka, missing_tools, resolve_libs
from detectors.codec import decode_verdict
from services.errors import ServicesError, TransientError
from services.kafka import KafkaSink, KafkaSource, committed_offsets, read_topic
from services.records import Outgoing, Record
from services.schema import upgrade
from services.settings import Settings
from services.store import Store, open_engine
from tests.processes import Service
from tests.servers import ROOT, require

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(420)]

EVENTS = 2000
UNREADABLE = 20
PATIENCE = 240.0


@contextmanager
def services(settings: Settings, folder: Path, *commands: str) -> Iterator[list[Service]]:
    folder.mkdir(exist_ok=True)
    started = [Service(command, settings, folder / f"{i}-{command}.log") for i, command in enumerate(commands)]
    try:
        yield started
    finally:
        for service in started:
            service.kill()


def send(settings: Settings, numbers: range, bad: set[int]) -> None:
    def outgoing(number: int) -> Outgoing:
        conversation = f"c{number % 97}"
        body = {
            "event_id": f"e{number}",
            "conversation_id": conversation,
            "seq": number // 97,
            "occurred_at": datetime.now(UTC).isoformat(),
            "messages": [
                {"role": "user", "content": f"Please close ticket {number}."},
                {"role": "assistant", "content": f"Ticket {number} is closed; the log of it is attached."},
            ],
        }
        value = b"{ this is not JSON" if number in bad else json.dumps(body).encode()
        return Outgoing(settings.topic("transcripts"), f"default/{conversation}".encode(), value)

    with KafkaSink(settings) as sink:
        sink.deliver([outgoing(number) for number in numbers])


class CommitWatch:
    """Looks at committed offsets all the time, and at whether everything behind them is where it should be.

    Offsets are read first and the evidence afterwards: what is committed must have been there already.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self.looks = 0
        self.violations: list[str] = []

    def __enter__(self) -> CommitWatch:
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _watch(self) -> None:
        while not self._stop.wait(1.5):
            try:
                self.look()
            except ServicesError:
                continue  # the group is being formed, or the broker restarted

    def look(self) -> None:
        topic = self._settings.topic
        scored = committed_offsets(self._settings, topic("scorer"))
        recorded = committed_offsets(self._settings, topic("recorder"))
        known = {verdict.event_id for verdict in self._store.verdicts(limit=100_000)}
        verdicts = list(read_topic(self._settings, topic("verdicts")))
        judged = {decode_verdict(record.value or b"").event_id for record in verdicts}
        buried = {
            dict(record.headers)["plumbline-partition"] + b"/" + dict(record.headers)["plumbline-offset"]
            for record in read_topic(self._settings, topic("transcripts.dead"))
        }
        for record in read_topic(self._settings, topic("transcripts")):
            if record.offset >= scored.get((record.topic, record.partition), 0):
                continue
            if (record.value or b"").startswith(b"{ "):
                settled = f"{record.partition}/{record.offset}".encode() in buried
            else:
                settled = json.loads(record.value or b"")["event_id"] in judged
            if not settled:
                self.violations.append(f"{record.place} committed by the scorer, without an outcome")
        for record in verdicts:
            behind = record.offset < recorded.get((record.topic, record.partition), 0)
            if behind and decode_verdict(record.value or b"").event_id not in known:
                self.violations.append(f"{record.place} committed by the recorder, not in the database")
        self.looks += 1


def wait_for(what: Callable[[], bool], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not what():
        assert time.monotonic() < deadline, "nothing more came out"
        time.sleep(0.2)


def committed(settings: Settings) -> dict[tuple[str, int], int]:
    """What the scorer has committed; nothing while its group is being formed."""
    try:
        return committed_offsets(settings, settings.topic("scorer"))
    except TransientError:
        return {}


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that this test may restart."""
    require(missing_tools(), "Apache Kafka")
    with LocalKafka(tmp_path / "kafka", resolve_libs(ROOT / "var" / "kafka"), heap_megabytes=256) as broker:
        yield broker


def test_two_thousand_events_survive_kills_rebalances_and_a_broker_restart(
    own_kafka: LocalKafka, make_settings: Callable[..., Settings], postgres_url: str, tmp_path: Path
) -> None:
    settings = make_settings(own_kafka.bootstrap_servers, database_url=SecretStr(postgres_url), topic_partitions=4)
    engine = open_engine(postgres_url)
    upgrade(engine)
    store = Store(engine)
    bad = set(random.Random(7).sample(range(EVENTS), UNREADABLE))

    def progress() -> int:
        return store.coverage().events

    with (
        services(settings, tmp_path, "score-stream", "record") as (scorer, recorder),
        CommitWatch(settings, store) as watch,
    ):
        send(settings, range(EVENTS // 2), bad)
        wait_for(lambda: progress() >= 50)
        scorer.restart_after_kill()  # 1
        wait_for(lambda: progress() >= 250)
        scorer.restart_after_kill()  # 2
        wait_for(lambda: progress() >= 400)
        recorder.restart_after_kill()
        with services(settings, tmp_path / "second", "score-stream") as (second,):
            wait_for(lambda: progress() >= 600)
            own_kafka.restart()
            send(settings, range(EVENTS // 2, EVENTS), bad)
            wait_for(lambda: progress() >= 1200)
            assert second.terminate() == 0  # leaves, having finished its batch
        scorer.restart_after_kill()  # 3
        wait_for(lambda: progress() >= EVENTS)
        watch.look()
        assert scorer.terminate() == 0
        assert recorder.terminate() == 0

    coverage = store.coverage()
    recorded = sorted(verdict.event_id for verdict in store.verdicts(limit=10 * EVENTS))
    assert recorded == sorted(f"e{number}" for number in range(EVENTS) if number not in bad)
    assert coverage.dead_lettered == UNREADABLE
    assert watch.violations == []
    assert watch.looks >= 3


def test_sigterm_finishes_the_batch_and_exits_0(
    kafka: LocalKafka, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(kafka.bootstrap_servers)
    send(settings, range(300), set())
    with services(settings, tmp_path, "score-stream") as (scorer,):
        wait_for(lambda: bool(committed(settings)))
        assert scorer.terminate() == 0
    done = sum(committed(settings).values())
    verdicts = [decode_verdict(record.value or b"") for record in read_topic(settings, settings.topic("verdicts"))]
    assert len(verdicts) == done  # nothing delivered and left uncommitted, nothing the other way round
    assert len({verdict.verdict_id for verdict in verdicts}) == done


def test_a_scorer_without_a_broker_says_so_and_exits_1() -> None:
    environment_without = {
        **os.environ,
        "PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PLUMBLINE_METRICS_PORT": "0",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "services.cli", "score-stream"],
        env=environment_without,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 1
    assert "PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS" in ran.stderr
    assert TransientError.__name__ not in ran.stderr  # a sentence, not a trace


def drop_before(settings: Settings, topic: str, offset: int) -> None:
    """What retention does, at once."""
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    admin.delete_records({TopicPartition(topic, 0): offset})
    admin.close()


def test_records_that_kafka_dropped_unread_are_counted_not_skipped_silently(
    kafka: LocalKafka, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(kafka.bootstrap_servers, topic_partitions=1)
    topic, group = settings.topic("transcripts"), settings.topic("group")
    lost: list[int] = []

    def read(count: int) -> None:
        with KafkaSource(settings, topics=[topic], group=group, on_lost=lost.append) as source:
            found: list[Record] = []
            wait_for(lambda: len(found.extend(source.poll(100, timedelta(seconds=1))) or found) >= count, 60)
            source.commit(found)

    send(settings, range(10), set())
    read(10)
    send(settings, range(10, 20), set())
    drop_before(settings, topic, 17)
    read(3)
    assert lost == [7]
