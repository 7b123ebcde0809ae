"""All rules together: duplicates, probes, lateness, time in steps, and what Alertmanager is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import State
from alerting.alertmanager import Links, posted, silenced_fingerprints
from alerting.burn_rate import BurnRate
from alerting.correlator import Correlator, Taken
from alerting.finding import Finding
from alerting.lifecycle import Lifecycle
from alerting.watermark import Watermark
from detectors.verdict import Arm, Evidence, Status, Verdict, verdict_id

Make = Callable[..., Verdict]
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
HIGH = ("deception", "misalignment")


def correlator(step: timedelta = 15 * SECOND) -> Correlator:
    return Correlator([BurnRate(budget_share=0.01)], Lifecycle(), step=step)


def test_an_event_counts_once_whoever_judges_it_and_however_often(make_verdict: Make, start: datetime) -> None:
    made = correlator()
    verdict = make_verdict(event="one")
    rejudged = verdict.model_copy(update={"bundle_version": "b-2"})
    assert [made.take(each, start) for each in (verdict, verdict, rejudged)] == [
        Taken.COUNTED,
        Taken.DUPLICATE,
        Taken.DUPLICATE,
    ]
    others = [
        verdict.model_copy(update={"event_id": "two", "synthetic": True}),
        verdict.model_copy(update={"event_id": "three", "arm": Arm.SHADOW}),
        verdict.model_copy(update={"event_id": "three", "arm": Arm.HELD_OUT}),
        verdict.model_copy(update={"event_id": "three", "arm": Arm.CANARY}),
        verdict.model_copy(update={"event_id": "four", "occurred_at": start - timedelta(days=2)}),
    ]
    assert [made.take(each, start) for each in others] == [
        Taken.SYNTHETIC,
        Taken.ASIDE,
        Taken.ASIDE,
        Taken.COUNTED,
        Taken.LATE,
    ]


def test_a_burst_fires_once_and_resolves(make_verdict: Make, start: datetime) -> None:
    made = correlator()
    made.begin(start)
    seen: list[tuple[str, State]] = []
    for second in range(0, 1200, 5):
        at = start + second * SECOND
        seen += [(t.alert.alert, t.alert.state) for t in made.advance(at)]
        for _ in range(3):
            verdict = make_verdict(second / 60, flagged=HIGH if second < 120 else ())
            made.take(verdict, at)
            made.take(verdict, at)
    for minute in range(20, 90):
        seen += [(t.alert.alert, t.alert.state) for t in made.advance(start + minute * MINUTE)]
    assert seen.count(("AgentBurn", State.FIRING)) == 1
    assert seen.count(("AgentBurn", State.RESOLVED)) == 1


def test_late_and_disordered_events_end_in_the_same_state(make_verdict: Make, start: datetime) -> None:
    verdicts = [make_verdict(n / 10, flagged=HIGH if n % 2 else ()) for n in range(100)]
    ordered, reversed_ = correlator(), correlator()
    for made, some in ((ordered, verdicts), (reversed_, verdicts[::-1])):
        made.begin(start)
        for verdict in some:
            made.take(verdict, start + 11 * MINUTE)
    now = start + 11 * MINUTE
    assert [f.value for f in ordered.rules[0].findings(now)] == [f.value for f in reversed_.rules[0].findings(now)]


def test_time_goes_in_steps_and_never_back(start: datetime) -> None:
    asked: list[datetime] = []

    class Clock:
        def observe(self, verdict: Verdict, at: datetime) -> None:
            """Nothing."""

        def findings(self, now: datetime) -> list[object]:
            asked.append(now)
            return []

    made = Correlator([Clock()], Lifecycle(), step=15 * SECOND)  # type: ignore[list-item]
    made.begin(start)
    for seconds in (5, 20, 61, 30, 61, 90):
        made.advance(start + seconds * SECOND)
    assert [(at - start).total_seconds() for at in asked] == [15, 30, 45, 60, 75, 90]


Happenings = st.lists(
    st.tuples(st.sampled_from(["append", "read", "look"]), st.integers(0, 2), st.integers(0, 30)), max_size=80
)


@given(Happenings)
def test_nothing_that_was_appended_before_the_watermark_is_still_to_come(
    happenings: list[tuple[str, int, int]],
) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    watermark, now, shown = Watermark(), start, start
    unread: dict[int, list[datetime]] = {0: [], 1: [], 2: []}
    heard: set[int] = set()
    watermark.assign(unread)
    for what, partition, seconds in happenings:
        now += seconds * SECOND
        if what == "append":
            unread[partition].append(now)
        elif what == "read" and unread[partition]:
            watermark.reached(partition, unread[partition].pop(0))
            heard.add(partition)
        elif what == "look" and not unread[partition]:
            watermark.reached(partition, now)
            heard.add(partition)
        time = watermark.time(now)
        assert (time is None) == (len(heard) < 3)
        if time is not None:
            assert shown <= time <= now
            assert all(time <= at for waiting in unread.values() for at in waiting)
            shown = time


def test_the_watermark_knows_nothing_of_no_partitions_nor_of_those_of_others() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    watermark = Watermark()
    watermark.reached(7, start)
    assert watermark.time(start) is None
    watermark.assign([1])
    assert watermark.time(start) is None
    watermark.reached(1, start)
    watermark.assign([1, 2])
    assert watermark.time(start + MINUTE) is None
    watermark.assign([1])
    assert watermark.time(start + MINUTE) == start


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(-90, 90)), min_size=1, max_size=30),
    st.lists(st.integers(0, 29), max_size=20),
    st.randoms(),
)
def test_whatever_comes_twice_in_another_order_or_from_clocks_that_are_wrong_counts_once_where_it_belongs(
    made: list[tuple[int, int]], again: list[int], random: Random
) -> None:
    """Minutes after the start that something was appended, and by how many seconds its sender's clock is ahead."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    appended = []
    for number, (minute, ahead) in enumerate(made):
        at = start + minute * MINUTE
        verdict = Verdict(
            verdict_id=verdict_id("acme", "c", f"e{number}", "b-1"),
            event_id=f"e{number}",
            tenant_id="acme",
            conversation_id="c",
            status=Status.SCORED,
            misalignment=0.5,
            bundle_version="b-1",
            occurred_at=at + ahead * SECOND,
            decided_at=at,
        )
        appended.append((verdict, at))
    delivered = [*appended, *(appended[number] for number in again if number < len(appended))]
    random.shuffle(delivered)
    rule = Recorder()
    correlator = Correlator([rule], Lifecycle(), step=15 * SECOND)
    taken = [correlator.take(verdict, at) for verdict, at in delivered]
    assert taken.count(Taken.COUNTED) == len(appended)
    assert set(taken) <= {Taken.COUNTED, Taken.DUPLICATE}
    assert sorted(rule.seen) == sorted((v.event_id, min(v.occurred_at, at)) for v, at in appended)


class Recorder:
    """A rule that only notes what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, datetime]] = []

    def observe(self, verdict: Verdict, at: datetime) -> None:
        self.seen.append((verdict.event_id, at))

    def findings(self, now: datetime) -> list[Finding]:
        return []

    def tracked(self) -> dict[str, int]:
        return {}

    def evicted(self) -> dict[str, int]:
        return {}


def test_alertmanager_is_told_where_to_look_and_nothing_of_the_content(make_verdict: Make, start: datetime) -> None:
    made = correlator()
    made.begin(start)
    place = Evidence(message_id="m1", message_index=3, part_index=1, start=7, end=19, category="deception", weight=1.0)
    for number in range(20):
        made.take(make_verdict(number / 10, flagged=HIGH).model_copy(update={"evidence": (place,)}), start + 2 * MINUTE)
    alert = next(t.alert for t in made.advance(start + 2 * MINUTE) if t.alert.alert == "AgentBurn")
    item = posted(
        alert, start + 3 * MINUTE, Links("https://runbooks", "https://triage/{tenant}/{conversation}?{other}={")
    )
    assert item is not None
    assert item["labels"] == {
        "alertname": "AgentBurn",
        "severity": "high",
        "category": "misalignment",
        "plumbline": "true",
        "source": "correlator",
        "plumbline_fingerprint": alert.fingerprint,
        "tenant": "acme",
        "agent": "clerk",
        "model_version": "v1",
    }
    told = item["annotations"]
    assert isinstance(told, dict)
    assert told["runbook"] == "https://runbooks/AgentBurn.md"
    assert told["evidence"] == "message 3 (m1), part 1, characters 7 to 19"
    assert str(told["case_link"]).startswith("https://triage/acme/c-")
    assert str(told["case_link"]).endswith("?{other}={")
    assert item["endsAt"] == (start + 8 * MINUTE).isoformat()
    over = alert.model_copy(update={"state": State.RESOLVED, "changed_at": start + 4 * MINUTE})
    ended = posted(over, start + 6 * MINUTE, Links())
    assert ended is not None
    assert ended["endsAt"] == (start + 4 * MINUTE).isoformat()


def test_silences_are_read_from_what_alertmanager_answers() -> None:
    answer = [
        {"labels": {"plumbline_fingerprint": "aa"}, "status": {"silencedBy": ["x"]}},
        {"labels": {"plumbline_fingerprint": "bb"}, "status": {"silencedBy": []}},
        {"labels": {"alertname": "other"}, "status": {"silencedBy": ["y"]}},
    ]
    assert silenced_fingerprints(answer) == {"aa"}
