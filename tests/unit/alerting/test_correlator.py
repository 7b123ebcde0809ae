"""All rules together: duplicates, probes, lateness, time in steps, and what Alertmanager is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import State
from alerting.alertmanager import Links, posted, silenced_fingerprints
from alerting.burn_rate import BurnRate
from alerting.correlator import Correlator, Taken
from alerting.lifecycle import Lifecycle
from alerting.watermark import Watermark
from detectors.verdict import Arm, Evidence, Verdict

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
        verdict.model_copy(update={"event_id": "four", "occurred_at": start - timedelta(days=2)}),
    ]
    assert [made.take(each, start) for each in others] == [Taken.SYNTHETIC, Taken.SHADOW, Taken.LATE]


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


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50), st.booleans()), max_size=60))
def test_the_watermark_never_passes_a_partition_with_a_backlog(reads: list[tuple[int, int, bool]]) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    watermark, now = Watermark(), start + 100 * SECOND
    watermark.assign([0, 1, 2])
    latest: dict[int, int] = {}
    ended: dict[int, bool] = {0: False, 1: False, 2: False}
    assert watermark.time(now) is None
    for partition, second, last in reads:
        watermark.read(partition, start + second * SECOND, last=last)
        latest[partition] = max(second, latest.get(partition, 0))
        ended[partition] = last
        behind = [number for number in ended if not ended[number]]
        time = watermark.time(now)
        if any(number not in latest for number in behind):
            assert time is None
        else:
            assert time == min([now, *(start + latest[number] * SECOND for number in behind)])


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
