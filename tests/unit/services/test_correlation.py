"""The correlator without its stream library: whenever it dies, it says what it would have said, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from alerting.alert import Alert, State
from alerting.closing import Closing
from alerting.correlator import Correlator
from alerting.finding import Case, Condition, Finding
from alerting.lifecycle import Lifecycle
from detectors.codec import encode_verdict
from detectors.verdict import Status, Verdict, verdict_id
from services.alert_records import Judged, alert_of, closing_record, content_of
from services.correlation import MARK_EVERY, Correlation
from services.metrics import CorrelatorMetrics
from services.records import Outgoing, Record

START = datetime(2026, 3, 1, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
PARTITIONS = 3


class Flags:
    """A `Rule`: two flagged events of a tenant within three minutes."""

    def __init__(self) -> None:
        self.seen: list[tuple[datetime, Verdict]] = []
        self.suppressed = 0

    def observe(self, verdict: Verdict, at: datetime) -> None:
        self.seen.append((at, verdict))

    def findings(self, now: datetime) -> Iterable[Finding]:
        for tenant in sorted({verdict.tenant_id for _, verdict in self.seen}):
            recent = [v for at, v in self.seen if v.tenant_id == tenant and now - 3 * MINUTE < at <= now]
            flagged = [verdict for verdict in recent if verdict.flagged]
            if recent:
                met = len(flagged) >= 2
                yield Finding(
                    "TenantBurn",
                    {"tenant": tenant},
                    Condition.MET if met else Condition.CLEAR,
                    value=len(flagged),
                    limit=2,
                    since=now - 3 * MINUTE,
                    until=now,
                    cases=tuple(map(Case.of, flagged)) if met else (),
                )

    def tracked(self) -> Mapping[str, int]:
        return {"flags": len(self.seen)}

    def evicted(self) -> Mapping[str, int]:
        return {}


class Died(Exception):
    """In the middle of something."""


class World:
    """The topics, and what of them is committed. Time stands still unless it is told to pass."""

    def __init__(self) -> None:
        self.now = START
        self.verdicts: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        self.alerts: list[Record] = []
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.lives = 10**9  # deliveries until the process dies

    def append(self, partition: int, tenant: str, *, flagged: bool, stamped: datetime | None = None) -> None:
        number = sum(map(len, self.verdicts))
        event = f"e{number}"
        made = Verdict(
            verdict_id=verdict_id(tenant, event, event, "b-1"),
            event_id=event,
            tenant_id=tenant,
            conversation_id=event,
            status=Status.SCORED,
            misalignment=0.5,
            flagged=("deception",) if flagged else (),
            bundle_version="b-1",
            occurred_at=self.now,
            decided_at=self.now,
        )
        self.put(partition, encode_verdict(made), stamped)

    def put(self, partition: int, value: bytes, stamped: datetime | None = None) -> None:
        log = self.verdicts[partition]
        log.append(Record("verdicts", partition, len(log), b"k", value, stamped or self.now))

    def between(self, since: datetime) -> list[Record]:
        records = [record for log in self.verdicts for record in log if record.timestamp >= since]
        return sorted(records, key=lambda record: record.timestamp)

    def deliver(self, outgoing: list[Outgoing]) -> None:
        for each in outgoing:
            if self.lives == 0:
                raise Died
            self.lives -= 1
            self.alerts.append(Record("alerts", 0, len(self.alerts), each.key, each.value, self.now))

    def said(self) -> list[tuple[object, ...]]:
        alerts = [alert for record in self.alerts if (alert := alert_of(record))]
        said = [(a.fingerprint, a.state, a.started_at, a.changed_at, a.notified_at) for a in alerts]
        return sorted(said, key=lambda each: (each[3], each[0]))  # within one step, any order will do


class Process:
    """A correlator, as `services.correlate` runs it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rule = Flags()
        lifecycle = Lifecycle(pending_for={"TenantBurn": 30 * SECOND}, renotify_every=10 * MINUTE)
        self.metrics = CorrelatorMetrics(CollectorRegistry())
        self.correlation = Correlation(
            Correlator([self.rule], lifecycle, step=15 * SECOND),
            alert_topic="alerts",
            metrics=self.metrics,
            clock=lambda: self.world.now,
        )

    def begin(self) -> Process:
        self.world.deliver(self.correlation.restore(self.world.alerts))
        self.positions = dict(self.world.committed)
        self.deliver_all(self.correlation.catch_up(self.world.between(self.correlation.needed_since())))
        self.correlation.committed(self.positions)
        self.correlation.watermark.assign(range(PARTITIONS))
        return self

    def deliver_all(self, lists: Iterator[list[Outgoing]]) -> None:
        for outgoing in lists:
            self.world.deliver(outgoing)

    def advance(self) -> None:
        to = self.correlation.due()
        if to is not None:
            self.deliver_all(self.correlation.advance(to))

    def read(self, partition: int) -> None:
        log = self.world.verdicts[partition]
        if self.positions[partition] < len(log):
            self.advance()
            self.correlation.take(log[self.positions[partition]])
            self.positions[partition] += 1

    def tick(self) -> None:
        for partition, log in enumerate(self.world.verdicts):
            self.correlation.reached_end(partition, len(log), self.world.now)
        self.advance()

    def commit(self) -> None:
        self.world.committed = dict(self.positions)


Rounds = st.lists(
    st.fixed_dictionaries(
        {
            "appends": st.lists(
                st.tuples(st.integers(0, PARTITIONS - 1), st.sampled_from("ab"), st.sampled_from([True, True, False])),
                max_size=4,
            ),
            "seconds": st.sampled_from([5, 20, 50, 110, 400]),
            "reads": st.tuples(*[st.sampled_from([0, 1, 9])] * PARTITIONS),
            "ticks": st.booleans(),
            "commits": st.booleans(),
            "dies_after": st.sampled_from([None, None, 0, 1, 2, 3]),
            "restarts": st.sampled_from([False, False, True]),
        }
    ),
    max_size=20,
)


def live(world: World, rounds: list[dict[str, Any]]) -> None:
    """One process after another, until the world comes to rest."""
    process = Process(world).begin()
    for each in rounds:
        for partition, tenant, flagged in each["appends"]:
            world.append(partition, tenant, flagged=flagged)
            world.now += each["seconds"] * SECOND
        world.lives = 10**9 if each["dies_after"] is None else each["dies_after"]
        try:
            process = Process(world).begin() if each["restarts"] else process
            for partition, count in enumerate(each["reads"]):
                for _ in range(count):
                    process.read(partition)
            if each["ticks"]:
                process.tick()
            if each["commits"]:
                process.commit()
        except Died:
            world.lives = 10**9
            process = Process(world).begin()
    world.lives, world.now = 10**9, world.now + 20 * MINUTE
    Process(world).begin().tick()


@given(Rounds)
@hypothesis_settings(max_examples=100)
def test_whenever_it_dies_it_says_what_it_would_have_said_and_says_it_once(rounds: list[dict[str, Any]]) -> None:
    interrupted = World()
    interrupted.now += SECOND / 2  # never at a full step: what is appended just then may be judged now or at the next
    live(interrupted, rounds)
    undisturbed = World()
    undisturbed.verdicts, undisturbed.now = interrupted.verdicts, interrupted.now
    Process(undisturbed).begin().tick()
    assert interrupted.said() == undisturbed.said()


def test_a_partition_that_lags_is_judged_in_full_after_a_kill() -> None:
    """The burst lies where the process had not got to; the other partition is minutes ahead."""
    world = World()
    for minute in range(12):
        world.now = START + minute * MINUTE
        world.append(0, "b", flagged=False)
        if minute < 3:
            world.append(1, "a", flagged=True)
    process = Process(world).begin()
    process.read(0)
    world.now += SECOND
    again = Process(world).begin()
    again.tick()
    assert [state for _, state, *_ in world.said()].count(State.FIRING) == 1
    killed = World()
    killed.verdicts, killed.now = world.verdicts, world.now
    first = Process(killed)
    first.correlation.restore([])
    first.correlation.watermark.assign([0, 1])
    first.positions = dict(killed.committed)
    for _ in range(12):
        first.read(0)
    first.commit()  # and dies
    Process(killed).begin().tick()
    assert killed.said() == world.said()


@pytest.mark.parametrize("deliveries", range(8))
def test_it_may_die_between_any_two_deliveries(deliveries: int) -> None:
    world, undisturbed = World(), World()
    for each in (world, undisturbed):
        process = Process(each).begin()
        for minute in range(12):
            each.now = START + minute * MINUTE + 7 * SECOND
            each.append(0, "a", flagged=minute < 3)
            process.read(0)
        each.now += 8 * MINUTE
        each.lives = deliveries if each is world else 10**9
        try:
            process.tick()
        except Died:
            each.lives = 10**9
            Process(each).begin().tick()
    assert world.said() == undisturbed.said()
    assert {State.FIRING, State.RESOLVED} <= {state for _, state, *_ in world.said()}


def test_a_calm_that_was_under_way_is_not_begun_anew() -> None:
    """Three minutes of calm, a restart, and two more: that is five."""
    world = World()
    process = burning(world)
    for minute in range(9):
        world.append(0, "a", flagged=False)
        world.now += MINUTE
        process = Process(world).begin() if minute == 6 else process
        process.read(0)
        process.commit()
        process.tick()
    undisturbed = World()
    undisturbed.verdicts, undisturbed.now = world.verdicts, world.now
    Process(undisturbed).begin().tick()
    assert world.said() == undisturbed.said()
    assert world.said()[-1][1] is State.RESOLVED


def test_one_timestamp_in_the_future_stops_nothing() -> None:
    world = World()
    process = Process(world).begin()
    world.append(0, "a", flagged=False, stamped=START + timedelta(days=365))
    for second in range(0, 240, 10):
        world.now = START + second * SECOND
        world.append(1, "a", flagged=True)
        for partition in range(PARTITIONS):
            process.read(partition)
        process.tick()
    assert State.FIRING in [state for _, state, *_ in world.said()]
    read_at = world.now
    world.now += 5 * MINUTE
    for partition in (1, 2):
        process.correlation.reached_end(partition, len(world.verdicts[partition]), world.now)
    assert process.correlation.due() == read_at  # the partition may have more, and holds time back
    world.now, fired = read_at, len(world.said())
    Process(world).begin().tick()
    assert len(world.said()) == fired


def test_time_stands_still_where_a_partition_is_not_heard_of_and_says_how_long() -> None:
    world = World()
    process = Process(world).begin()
    assert process.correlation.due() is None
    world.now += 5 * MINUTE
    assert process.correlation.due() is None
    assert behind(process) == 300  # not 0: nothing is known of any partition yet
    process.tick()
    assert (process.correlation.due(), behind(process)) == (world.now, 0)
    heard = world.now
    world.now += 10 * MINUTE
    for partition in range(PARTITIONS):  # what the client still holds is an answer of ten minutes ago
        process.correlation.reached_end(partition, 0, heard)
    assert (process.correlation.due(), behind(process)) == (heard, 600)


def behind(process: Process) -> float:
    return float(process.metrics.behind._value.get())


def burning(world: World, minutes: int = 4) -> Process:
    """A process in which the alert of tenant a fires."""
    world.now += SECOND / 2
    process = Process(world).begin()
    for _ in range(minutes):
        world.now += MINUTE
        world.append(0, "a", flagged=True)
        process.read(0)
        process.commit()
        process.tick()
    assert [a.state for a in process.correlation.to_post()] == [State.FIRING]
    return process


def close(world: World, alert: Alert) -> Closing:
    """What somebody writes who resolves the case behind it."""
    closing = Closing(fingerprint=alert.fingerprint, at=world.now)
    (record,) = [closing_record("alerts", closing)]
    world.alerts.append(Record("alerts", 0, len(world.alerts), record.key, record.value, world.now))
    return closing


def test_an_alert_that_people_close_is_resolved_posted_and_stays_so_until_there_is_more() -> None:
    world = World()
    process = burning(world)
    (alert,) = process.correlation.to_post()
    world.now += SECOND
    world.deliver(process.correlation.close(close(world, alert)))
    assert world.said()[-1][1] is State.RESOLVED
    assert [(a.state, a.changed_at) for a in process.correlation.to_post()] == [(State.RESOLVED, world.now)]
    world.now += MINUTE
    process.tick()  # two of the flags that people have seen are still within the window
    assert [a.state for a in process.correlation.to_post()] == [State.RESOLVED]
    world.append(0, "a", flagged=True)
    process.read(0)
    world.now += MINUTE
    process.tick()
    assert [a.state for a in process.correlation.to_post()] == [State.FIRING]


def test_a_closing_of_while_nothing_ran_counts_at_the_start() -> None:
    world = World()
    burning(world)
    world.now += 5 * SECOND
    (alert,) = Process(world).begin().correlation.to_post()
    close(world, alert)
    world.now += 20 * SECOND
    process = Process(world).begin()
    process.tick()
    assert world.said()[-1][1] is State.RESOLVED
    assert [a.state for a in process.correlation.to_post()] == [State.RESOLVED]
    count = len(world.said())
    Process(world).begin().tick()
    assert len(world.said()) == count


def test_a_closing_that_nobody_had_read_before_the_alert_was_published_again_still_counts() -> None:
    world = World()
    process = burning(world)
    (alert,) = process.correlation.to_post()
    close(world, alert)
    world.now += 4 * MINUTE
    process.tick()  # has not looked at the topic: no data, and the last record of the key is that
    assert world.said()[-1][1] is State.NO_DATA
    Process(world).begin()
    assert world.said()[-1][1] is State.RESOLVED


def test_how_far_everything_was_judged_is_published_every_few_seconds_and_only_after_what_followed() -> None:
    world = World()
    process = burning(world)
    marks = [content for record in world.alerts if isinstance(content := content_of(record), Judged)]
    assert marks
    assert all(mark.judged_until <= world.now for mark in marks)
    before = len(world.alerts)
    process.tick()
    world.now += MARK_EVERY / 5
    process.tick()
    assert len(world.alerts) == before


def test_people_read_in_the_log_what_fires_and_what_ends() -> None:
    with capture_logs() as logs:
        world = World()
        process = burning(world)
        (alert,) = process.correlation.to_post()
        world.deliver(process.correlation.close(close(world, alert)))
    told = [(entry["alert"], entry["state"]) for entry in logs if entry["event"] == "alert"]
    assert told == [("TenantBurn", "firing"), ("TenantBurn", "resolved")]


def test_what_rules_keep_quiet_about_is_counted() -> None:
    process = Process(World()).begin()
    process.rule.suppressed = 3
    process.correlation.report()
    process.correlation.report()
    assert process.metrics.suppressed.labels("Flags")._value.get() == 3


def test_an_alert_that_this_version_does_not_know_is_passed_over() -> None:
    world = World()
    process = burning(world)
    (alert,) = process.correlation.to_post()
    unknown = alert.model_copy(update={"alert": "Gone"})
    record = Record("alerts", 0, 0, b"k", unknown.model_dump_json().encode(), START)
    assert alert_of(record) is None
    assert Process(World()).correlation.restore([record]) == []


def test_a_record_that_is_no_verdict_is_a_dead_letter_however_often_it_comes(
    make_record: Callable[..., Record],
) -> None:
    process = Process(World())
    record = make_record(b"{", timestamp=START)
    first, second = process.correlation.take(record), process.correlation.take(record)
    assert first is not None
    assert second is not None
