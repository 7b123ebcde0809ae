"""Each message is on its topic once, whatever fails at whichever step, however many relays there are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from services.errors import ServicesError, TooLargeError, TransientError
from services.metrics import OutboxMetrics
from services.outbox import Ledger, Relay, ToKafka
from services.outbox.broker import Sink
from services.outbox.encoding import MESSAGE_ID
from services.outbox.ledger import Offsets
from services.records import Outgoing
from services.schema import upgrade
from services.store import Database, open_engine, outbox
from services.store.outbox import Channel
from tests.relay_hooks import STEPS, Hook, HookedBroker, HookedLedger

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LEASE = timedelta(seconds=30)


class Killed(BaseException):
    """The process is gone."""


@dataclass
class FakeBroker:
    """A broker with one partition a topic, with transactions, and with zombies: records that come when they like.

    `faults`: what becomes of the next deliveries. `lost`, `landed` and `late` are all reported as unknown.
    """

    limit: int = 10**9
    faults: list[str] = field(default_factory=list)
    log: dict[str, list[Outgoing]] = field(default_factory=dict)
    epoch: int = 0
    late: list[Outgoing] = field(default_factory=list)

    def open(self) -> Sink:
        self.epoch += 1
        self.late = []
        return _FakeSink(self, self.epoch)

    def ends(self, topic: str) -> Offsets:
        return {"0": len(self.log.get(topic, []))}

    def arrived(self, topic: str, since: Offsets) -> set[UUID]:
        return {_id(record) for record in self.log.get(topic, [])[since.get("0", 0) :]}

    def land(self) -> None:
        """What was late arrives."""
        late, self.late = self.late, []
        for record in late:
            self.log.setdefault(record.topic, []).append(record)

    def ids(self) -> list[UUID]:
        return [_id(record) for records in self.log.values() for record in records]


def _id(record: Outgoing) -> UUID:
    return UUID(dict(record.headers)[MESSAGE_ID].decode())


class _FakeSink:
    def __init__(self, broker: FakeBroker, epoch: int) -> None:
        self._broker = broker
        self._epoch = epoch

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        if any(len(record.value) > self._broker.limit for record in outgoing):
            raise TooLargeError("too large")
        if self._epoch != self._broker.epoch:
            raise TransientError("fenced")
        fault = self._broker.faults.pop(0) if self._broker.faults else ""
        if fault != "lost":
            self._broker.late += outgoing
        if fault in ("", "landed"):
            self._broker.land()
        if fault:
            raise TransientError(fault)

    def close(self) -> None:
        """Nothing: a zombie does not close."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('outbox') / 'o.db'}")
    upgrade(engine)
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    engine = open_engine(f"sqlite:///{tmp_path / 'o.db'}")
    upgrade(engine)
    yield Database(engine)
    engine.dispose()


def put(database: Database, *, topic: str = "queue", value: dict[str, Any] | None = None) -> UUID:
    """A label that waits, and nothing else about the same subject."""
    name = uuid4()
    with database.write() as tx:
        told = value or {"label_id": str(name)}
        outbox.put(tx, name, Channel.KAFKA, topic, "acme/c1", told, subject_id=name, now=NOW, not_before=NOW)
    return name


def quiet(_: str) -> None:
    """Nothing happens."""


def relay(database: Database, broker: FakeBroker, at: Hook = quiet, metrics: OutboxMetrics | None = None) -> Relay:
    metrics = metrics or OutboxMetrics(CollectorRegistry())
    told: dict[str, Any] = {"holder": uuid4().hex, "lease_for": LEASE, "metrics": metrics}
    ledger = HookedLedger(database, Channel.KAFKA, at=at, **told)
    courier = ToKafka(ledger, HookedBroker(broker, at), most_bytes=10**6)
    return Relay(ledger, courier, pause=timedelta(seconds=1), metrics=metrics)


def drain(database: Database, broker: FakeBroker, now: datetime) -> None:
    """A relay that nothing happens to sends all that is left."""
    fresh = relay(database, broker)
    broker.faults = []
    while fresh.relay_once(now):
        pass


def test_what_is_due_is_sent_in_order_and_once(database: Database) -> None:
    broker = FakeBroker()
    sent = [put(database, topic=topic) for topic in ("queue", "alerts", "queue")]
    working = relay(database, broker)
    assert working.relay_once(NOW - timedelta(seconds=1)) == 0
    assert working.relay_once(NOW) == 3
    assert working.relay_once(NOW) == 0
    assert {topic: [_id(record) for record in records] for topic, records in broker.log.items()} == {
        "queue": [sent[0], sent[2]],
        "alerts": [sent[1]],
    }


@pytest.mark.parametrize("fault", ["lost", "landed", "late"])
def test_an_unknown_outcome_is_looked_up(database: Database, fault: str) -> None:
    broker = FakeBroker(faults=[fault])
    sent = put(database)
    working = relay(database, broker)
    with pytest.raises(TransientError):
        working.relay_once(NOW)
    assert working.relay_once(NOW) == 1
    broker.land()
    assert broker.ids() == [sent]


@pytest.mark.parametrize("step", STEPS)
def test_what_a_dead_relay_still_had_on_its_way_may_land_at_any_moment(database: Database, step: str) -> None:
    broker = FakeBroker(faults=["late"])
    sent = put(database)
    with pytest.raises(TransientError):
        relay(database, broker).relay_once(NOW)
    another = relay(database, broker, lambda at: broker.land() if at == step else None)
    while another.relay_once(NOW + 2 * LEASE):
        continue
    broker.land()
    assert broker.ids() == [sent]


@pytest.mark.parametrize("step", STEPS)
def test_what_is_taken_back_never_leaves_and_what_left_is_known_to_have(database: Database, step: str) -> None:
    broker = FakeBroker()
    label = put(database)

    def take_back(at: str) -> None:
        if at == step and step not in told:
            with database.write() as tx:
                told[step] = outbox.cancel(tx, label, NOW), outbox.left(tx, label)

    told: dict[str, tuple[bool, bool]] = {}
    working = relay(database, broker, take_back)
    working.relay_once(NOW)
    for cancelled, left in told.values():
        assert cancelled is not left
        assert broker.ids() == ([] if cancelled else [label])


ACTIONS = ("", "", "", "fail", "die", "take over", "land", "undo", "put")


@given(
    st.lists(st.sampled_from(ACTIONS), max_size=40),
    st.lists(st.sampled_from(["", "lost", "landed", "late"]), max_size=8),
    st.integers(1, 4),
)
def test_whatever_happens_each_is_sent_once_and_none_that_was_taken_back(
    shared: Database, actions: list[str], faults: list[str], count: int
) -> None:
    with shared.write() as tx:
        tx.execute(text("DELETE FROM leases"))  # another example's
    broker = FakeBroker(faults=faults)
    expected = {put(shared) for _ in range(count)}
    plan = iter(actions)
    clock = [NOW]

    def at(step: str) -> None:
        assert step in STEPS
        action = next(plan, "")
        if action == "fail":
            raise TransientError(step)
        if action == "die":
            raise Killed
        if action == "take over":  # while this one is held up for longer than its lease
            clock[0] += 2 * LEASE
            with_another()
        if action == "land":
            broker.land()
        if action == "put":
            expected.add(put(shared))
        if action == "undo" and (taken_back := next(iter(expected), None)):
            with shared.write() as tx:
                if outbox.cancel(tx, taken_back, NOW):
                    expected.discard(taken_back)
                    assert not outbox.left(tx, taken_back)

    def with_another() -> None:
        with suppress(ServicesError, Killed):
            relay(shared, broker, at).relay_once(clock[0])

    working = relay(shared, broker, at)
    for _ in range(12):
        try:
            working.relay_once(clock[0])
        except ServicesError:
            pass
        except Killed:
            working = relay(shared, broker, at)
            clock[0] += 2 * LEASE
    drain(shared, broker, clock[0] + 2 * LEASE)
    broker.land()
    assert sorted(broker.ids()) == sorted(expected)


def test_one_relay_works_at_a_time_and_another_takes_over(database: Database) -> None:
    broker = FakeBroker()
    first, second = relay(database, broker), relay(database, broker)
    put(database)
    assert first.relay_once(NOW) == 1
    put(database)
    assert second.relay_once(NOW) == 0
    assert second.relay_once(NOW + 2 * LEASE) == 1
    put(database)
    assert first.relay_once(NOW + 2 * LEASE) == 0
    assert len(broker.ids()) == 2


def test_a_limit_of_the_broker_below_ours_costs_the_large_parts_of_that_record_alone(database: Database) -> None:
    broker = FakeBroker(limit=2000)
    values = [{"label_id": str(n), "messages": ["x" * (5000 if n == 1 else 50)]} for n in range(3)]
    for value in values:
        put(database, value=value)
    registry = CollectorRegistry()
    working = relay(database, broker, metrics=OutboxMetrics(registry))
    done = 0
    for _ in range(10):
        try:
            done += working.relay_once(NOW)
        except TooLargeError:
            continue
    assert done == 3
    sent = [json.loads(record.value) for record in broker.log["queue"]]
    assert sent == [values[0], {"label_id": "1", "messages": None, "omitted": "too large"}, values[2]]
    assert registry.get_sample_value("plumbline_outbox_delivered_total", {"channel": "kafka"}) == 3


def test_what_cannot_be_made_small_is_refused_and_holds_up_nothing(database: Database) -> None:
    broker = FakeBroker(limit=2000)
    put(database, value={"label_ids": "x" * 2 * 10**6})  # over our limit
    put(database, value={"label_ids": "x" * 5000})  # over the broker's
    last = put(database)
    registry = CollectorRegistry()
    working = relay(database, broker, metrics=OutboxMetrics(registry))
    for _ in range(10):
        try:
            working.relay_once(NOW)
        except TooLargeError:
            continue
    assert broker.ids() == [last]
    assert registry.get_sample_value("plumbline_outbox_refused_total", {"channel": "kafka"}) == 2


def test_metrics_say_what_waits_and_for_how_long(database: Database) -> None:
    registry = CollectorRegistry()
    metrics = OutboxMetrics(registry)
    ledger = Ledger(database, Channel.KAFKA, holder="a", lease_for=LEASE, metrics=metrics)

    def seen() -> tuple[float | None, ...]:
        names = ("plumbline_outbox_waiting", "plumbline_outbox_oldest_waiting_seconds")
        return tuple(registry.get_sample_value(name, {"channel": "kafka"}) for name in names)

    ledger.observe(NOW)
    assert seen() == (0, 0)
    put(database)
    put(database)
    ledger.observe(NOW - timedelta(seconds=5))
    assert seen() == (2, 0)
    ledger.observe(NOW + timedelta(seconds=7))
    assert seen() == (2, 7)
