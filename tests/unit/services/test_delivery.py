"""Nothing lost, nothing counted twice: scorer and recorder over a broker in memory, crashing wherever they can."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from detectors.codec import decode_verdict
from detectors.detector import Detector
from services.arms.serving import Serving
from services.dead_letters import FloodGate
from services.memory import MemoryBroker, MemorySource
from services.metrics import RecorderMetrics, ScorerMetrics, StreamMetrics
from services.recorder import Recorder
from services.records import Outgoing, Record
from services.schema import upgrade
from services.scorer import Scorer
from services.store import Store, open_engine
from services.stream import Batching, Handler, Stream

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STEPS = ("before prepare", "before complete", "after complete", "half delivered", "delivered", "committed")
BATCH = 4


class Crash(BaseException):
    """The process dies here: not an exception that anything may handle."""


@dataclass
class CrashPlan:
    """Dies at the n-th time that it comes past one of the steps; never, when the plan is used up."""

    step: str | None = None
    passes: int = 0

    def passing(self, step: str) -> None:
        if step == self.step:
            if self.passes == 0:
                self.step = None
                raise Crash(step)
            self.passes -= 1


@dataclass
class CrashingSource:
    inner: MemorySource
    plan: CrashPlan
    stop: Event
    check: Callable[[], None]

    def poll(self, max_records: int, timeout: timedelta) -> list[Record]:
        records = self.inner.poll(max_records, timeout)
        if not records and timeout:
            self.stop.set()
        return records

    def commit(self, records: Sequence[Record]) -> None:
        self.inner.commit(records)
        self.check()
        self.plan.passing("committed")


@dataclass
class CrashingSink:
    broker: MemoryBroker
    plan: CrashPlan

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        for index, record in enumerate(outgoing):
            if index == len(outgoing) // 2:
                self.plan.passing("half delivered")
            self.broker.append(record)
        self.plan.passing("delivered")


@dataclass
class CrashingHandler:
    inner: Handler
    plan: CrashPlan

    def prepare(self, records: Sequence[Record]) -> object:
        self.plan.passing("before prepare")
        return self.inner.prepare(records)

    def complete(self, prepared: object) -> object:
        self.plan.passing("before complete")
        handled = self.inner.complete(prepared)
        self.plan.passing("after complete")
        return handled


@dataclass
class World:
    """One broker and one database; processes come and go."""

    detector: Detector
    stream_class: type[Stream] = Stream
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker.create_topics("t", "t.dead", "v", "v.dead")
        engine = open_engine("sqlite://")
        upgrade(engine)
        self.store = Store(engine)

    def send(self, events: int, bad: Sequence[int]) -> None:
        for number in range(events):
            body = {
                "event_id": f"e{number}",
                "conversation_id": f"c{number % 5}",
                "seq": number // 5,
                "occurred_at": NOW.isoformat(),
                "messages": [{"role": "assistant", "content": f"step {number}"}],
            }
            value = b"{not json" if number in bad else json.dumps(body).encode()
            self.broker.append(Outgoing("t", f"c{number % 5}".encode(), value))

    def run(self, service: str, plan: CrashPlan) -> None:
        """One process of `service`: until it crashes, or has nothing left to do."""
        with self._process(service, plan) as (stream, stop):
            stream.run(stop)

    @contextmanager
    def _process(self, service: str, plan: CrashPlan):
        registry = CollectorRegistry()
        if service == "score":
            handler = Scorer(
                lambda: Serving(self.detector),
                verdict_topic="v",
                max_bytes=10_000,
                metrics=ScorerMetrics(registry),
                clock=lambda: NOW,
                timer=lambda: 0.0,
            )
            source, check = self.broker.source("t", group="score"), self.check_scored
        else:
            handler = Recorder(self.store, verdict_topic="v", metrics=RecorderMetrics(registry), clock=lambda: NOW)
            source, check = self.broker.source("v", "t.dead", group="record"), self.check_recorded
        stop = Event()
        stream = self.stream_class(
            CrashingSource(source, plan, stop, check),
            CrashingHandler(handler, plan),
            CrashingSink(self.broker, plan),
            batching=Batching(BATCH, 1_000_000, timedelta(0)),
            retry_for=timedelta(0),
            flood_gate=FloodGate(limit=1.0, window=100),
            max_dead_letter_bytes=10_000,
            metrics=StreamMetrics(registry),
            clock=lambda: NOW,
        )
        try:
            yield stream, stop
        except Crash:
            pass
        finally:
            source.close()

    def check_scored(self) -> None:
        """No committed offset may lie behind a record without a verdict or dead letter."""
        done = {decode_verdict(record.value).event_id for record in self.broker.log("v")}
        dead = {dict(record.headers)["plumbline-offset"] for record in self.broker.log("t.dead")}
        for record in self._committed("score", "t"):
            readable = record.value.startswith(b'{"')
            if readable and json.loads(record.value)["event_id"] not in done:
                self.violations.append(f"{record.place} is committed and has no verdict")
            if not readable and str(record.offset).encode() not in dead:
                self.violations.append(f"{record.place} is committed and is no dead letter")

    def check_recorded(self) -> None:
        """No committed offset may lie behind a verdict that is not in the database."""
        recorded = {verdict.verdict_id for verdict in self.store.verdicts(limit=10_000)}
        for record in self._committed("record", "v"):
            if decode_verdict(record.value).verdict_id not in recorded:
                self.violations.append(f"{record.place} is committed and not recorded")

    def _committed(self, group: str, topic: str) -> list[Record]:
        ends = self.broker.committed[group]
        return [record for record in self.broker.log(topic) if record.offset < ends.get((topic, record.partition), 0)]


def finish(world: World, events: int, bad: Sequence[int]) -> list[str]:
    """Runs both services to the end, uninterrupted; returns every way in which the promise is broken."""
    world.run("score", CrashPlan())
    world.run("record", CrashPlan())
    problems = list(world.violations)
    coverage = world.store.coverage()
    if coverage.events != events or coverage.dead_lettered != len(bad):
        problems.append(f"{events} events, {len(bad)} of them unreadable, became {coverage}")
    recorded = sorted(verdict.event_id for verdict in world.store.verdicts(limit=10_000))
    if recorded != sorted(f"e{number}" for number in range(events) if number not in bad):
        problems.append("not exactly one verdict for each readable event")
    return problems


crashes = st.lists(
    st.tuples(st.sampled_from(["score", "record"]), st.sampled_from(STEPS), st.integers(0, 3)), max_size=6
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crashes=crashes, events=st.integers(0, 30), bad=st.sets(st.integers(0, 29), max_size=5))
def test_every_event_has_exactly_one_outcome_whatever_crashes(detector, crashes, events, bad):
    bad = sorted(number for number in bad if number < events)
    world = World(detector)
    world.send(events, bad)
    for service, step, passes in crashes:
        world.run(service, CrashPlan(step, passes))
    assert finish(world, events, bad) == []


class CommitsFirst(Stream):
    """The classic mistake: the offsets are committed before the broker has the result."""

    def _settle(self, staged):
        self._source.commit(staged.records)
        super()._settle(staged)


@pytest.mark.parametrize("service", ["score", "record"])
def test_committing_before_delivering_is_caught(detector, service):
    world = World(detector, stream_class=CommitsFirst)
    world.send(12, bad=[3])
    if service == "record":
        world.run("score", CrashPlan())
    world.run(service, CrashPlan("before complete", 1))
    assert finish(world, 12, bad=[3]) != []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("service", ["score", "record"])
def test_a_crash_at_each_single_step_loses_nothing(detector, service, step):
    world = World(detector)
    world.send(13, bad=[0, 7])
    world.run("score", CrashPlan(step if service == "score" else None, 1))
    world.run("record", CrashPlan(step if service == "record" else None, 1))
    assert finish(world, 13, bad=[0, 7]) == []


def test_members_share_the_partitions_and_neither_repeats_what_the_other_committed(detector):
    world = World(detector)
    world.send(20, bad=[])
    other = world.broker.source("t", group="score")
    world.run("score", CrashPlan())
    assert {record.partition for record in other.poll(100, timedelta(0))} == {0}
    other.close()
    assert finish(world, 20, bad=[]) == []
