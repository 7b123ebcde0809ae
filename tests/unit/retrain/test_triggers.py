"""When a run starts: never two at once, never more than there may be, and each for a reason that people read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.triggers import Limits, PastRun, Situation, Start, Wait, decide, lower_bound

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LIMITS = Limits(
    new_labels=20, quiet=15 * MINUTE, pause=6 * HOUR, schedule=30 * DAY, false_positives=0.5, runs_per_day=4
)
QUIET = Situation(
    confirmed={},
    dismissed=0,
    flags=0,
    dismissed_flags=0,
    newest_label_at=NOW - HOUR,
    oldest_label_at=NOW - HOUR,
    drifting={},
    runs=(),
)
ENOUGH = replace(QUIET, confirmed={"deception": 20, "sabotage": 3}, flags=23)
A_RUN = PastRun(NOW - 8 * HOUR, NOW - 7 * HOUR, asked=False)


def started(situation: Situation, limits: Limits = LIMITS) -> Start:
    decision = decide(situation, limits, NOW)
    assert isinstance(decision, Start), decision
    return decision


def waits(situation: Situation, limits: Limits = LIMITS) -> str:
    decision = decide(situation, limits, NOW)
    assert isinstance(decision, Wait), decision
    return decision.reason


def test_nothing_new_is_no_reason() -> None:
    assert waits(QUIET) == "no label is new"


def test_enough_confirmed_labels_of_one_category_are_a_reason() -> None:
    assert started(ENOUGH) == Start("labels", "new confirmed labels: 20 of deception; 20 are enough")


def test_many_categories_with_a_few_labels_each_are_none() -> None:
    few = replace(QUIET, confirmed=dict.fromkeys("abcdef", 19), flags=114)
    assert waits(few).startswith("114 labels are new: of one category at most 19 confirmed, 20 are enough")


def test_too_many_dismissals_are_a_reason_once_there_is_confidence() -> None:
    half = replace(QUIET, confirmed={"deception": 8}, dismissed=12, flags=20, dismissed_flags=12)
    assert isinstance(decide(half, LIMITS, NOW), Wait)
    most = replace(half, confirmed={"deception": 4}, dismissed=16, dismissed_flags=16)
    assert started(most).trigger == "false_positives"
    assert "16 of 20 flags" in started(most).reason
    assert isinstance(decide(replace(most, flags=19, confirmed={"deception": 3}), LIMITS, NOW), Wait)


def test_a_drift_alarm_is_a_reason_where_a_few_labels_are_new() -> None:
    drifting = replace(QUIET, drifting={"InputDrift": NOW - DAY}, dismissed=5)
    assert started(drifting) == Start("drift", "InputDrift fires, and 5 labels are new")
    assert isinstance(decide(replace(drifting, dismissed=4), LIMITS, NOW), Wait)


def test_a_drift_alarm_counts_for_one_run() -> None:
    since = replace(QUIET, drifting={"InputDrift": A_RUN.started_at - HOUR}, dismissed=5, runs=(A_RUN,))
    assert isinstance(decide(since, LIMITS, NOW), Wait)
    assert started(replace(since, drifting={"InputDrift": A_RUN.ended_at})).trigger == "drift"


def test_the_calendar_is_a_reason_and_may_be_switched_off() -> None:
    old = PastRun(NOW - 30 * DAY, NOW - 30 * DAY, asked=True)
    assert started(replace(QUIET, runs=(old,))) == Start(
        "schedule", f"there was no run since {NOW - 30 * DAY:%Y-%m-%d}"
    )
    assert started(replace(QUIET, oldest_label_at=NOW - 31 * DAY)).trigger == "schedule"
    assert isinstance(decide(replace(QUIET, runs=(old,)), replace(LIMITS, schedule=None), NOW), Wait)
    assert isinstance(decide(replace(QUIET, oldest_label_at=None), LIMITS, NOW), Wait)


def test_people_who_are_labelling_are_waited_for_but_not_for_ever() -> None:
    busy = replace(ENOUGH, newest_label_at=NOW - 14 * MINUTE)
    assert "once no label has come for 15 minutes" in waits(busy)
    assert started(replace(busy, newest_label_at=NOW - 15 * MINUTE)).trigger == "labels"
    assert started(replace(busy, dismissed=17)).trigger == "labels"


def test_runs_lie_apart_and_a_day_has_so_many() -> None:
    assert "6 hours lie between two runs" in waits(replace(ENOUGH, runs=(PastRun(NOW - 6 * HOUR, NOW - HOUR, True),)))
    four = [PastRun(NOW - n * 6 * HOUR + MINUTE, NOW - n * 6 * HOUR, asked=False) for n in range(1, 5)]
    assert "4 runs have started within a day" in waits(replace(ENOUGH, runs=four))
    assert started(replace(ENOUGH, runs=[*four[:3], replace(four[3], asked=True)])).trigger == "labels"
    assert started(replace(ENOUGH, runs=four[:3])).trigger == "labels"


def test_a_candidate_on_its_way_is_waited_for() -> None:
    assert "b-2 is on its way" in waits(replace(ENOUGH, candidate="b-2"))


def test_who_asks_waits_for_the_run_under_way_and_for_nothing_else() -> None:
    asked = replace(
        QUIET,
        asked="new policy",
        newest_label_at=NOW,
        candidate="b-2",
        runs=[PastRun(NOW - HOUR, NOW, asked=False)] * 9,
    )
    assert started(asked) == Start("manual", "new policy")
    assert waits(replace(asked, under_way=7)) == "run 7 is under way"


@given(count=st.integers(0, 500), more=st.integers(0, 500))
def test_a_share_is_never_less_than_its_bound(count: int, more: int) -> None:
    bound = lower_bound(count, count + more)
    assert 0 <= bound <= (count / (count + more) if count + more else 0)


@pytest.mark.parametrize(
    ("count", "of", "bound"), [(0, 10, 0.0), (10, 10, 0.7871), (16, 20, 0.6216), (50, 100, 0.4188)]
)
def test_the_bound_is_the_one_of_the_textbook(count: int, of: int, bound: float) -> None:
    assert lower_bound(count, of) == pytest.approx(bound, abs=2e-4)


@dataclass
class Loop:
    """Labels, runs and time, as the retrainer keeps them: what `decide` says is done."""

    limits: Limits
    now: datetime = NOW
    new: list[tuple[int, str, str]] = field(default_factory=list)
    counted: list[tuple[int, str, str]] = field(default_factory=list)
    ended: list[PastRun] = field(default_factory=list)
    began: tuple[datetime, bool] | None = None
    reasons: list[str] = field(default_factory=list)
    last_label: datetime | None = None
    first_label: datetime | None = None
    asked: str | None = None
    labels: int = 0

    def label(self, category: str, disposition: str) -> None:
        self.labels += 1
        self.new.append((self.labels, category, disposition))
        self.last_label = self.now
        self.first_label = self.first_label or self.now

    def look(self) -> None:
        confirmed = [category for _, category, disposition in self.new if disposition == "confirmed"]
        dismissed = len(self.new) - len(confirmed)
        situation = Situation(
            confirmed={category: confirmed.count(category) for category in confirmed},
            dismissed=dismissed,
            flags=len(self.new),
            dismissed_flags=dismissed,
            newest_label_at=self.last_label if self.new else None,
            oldest_label_at=self.first_label,
            drifting={"ScoreDrift": NOW},
            runs=self.ended,
            under_way=len(self.ended) + 1 if self.began else None,
            asked=self.asked,
        )
        decision = decide(situation, self.limits, self.now)
        assert decision.reason
        if isinstance(decision, Start):
            assert self.began is None
            self.began = (self.now, decision.trigger == "manual")
            self.reasons.append(decision.reason)
            self.counted += self.new
            self.new, self.asked = [], None

    def end(self) -> None:
        if self.began:
            self.ended.append(PastRun(self.began[0], self.now, asked=self.began[1]))
            self.began = None


STEPS = st.one_of(
    st.tuples(st.just("labels"), st.sampled_from("ab"), st.sampled_from(["confirmed", "dismissed"]), st.integers(1, 9)),
    st.tuples(st.just("pass"), st.integers(1, 2000)),
    st.tuples(st.just("ask")),
    st.tuples(st.just("end")),
)


@given(
    steps=st.lists(STEPS, max_size=80),
    needed=st.integers(1, 12),
    a_day=st.integers(1, 4),
    pause=st.integers(0, 600),
    quiet=st.integers(0, 60),
)
def test_whatever_happens_runs_keep_apart_and_within_the_budget_and_labels_count_once(
    steps: list[tuple[str, ...]], needed: int, a_day: int, pause: int, quiet: int
) -> None:
    loop = Loop(Limits(needed, quiet * MINUTE, pause * MINUTE, 10 * DAY, 0.5, a_day))
    for step in steps:
        match step:
            case ("labels", category, disposition, count):
                for _ in range(int(count)):
                    loop.label(category, disposition)
            case ("pass", minutes):
                loop.now += int(minutes) * MINUTE
            case ("ask",):
                loop.asked = "because"
            case ("end",):
                loop.end()
        loop.look()
    loop.end()
    runs = loop.ended
    for before, after in pairwise(runs):
        assert after.started_at - before.ended_at >= (timedelta(0) if after.asked else pause * MINUTE)
    by_itself = [run for run in runs if not run.asked]
    for run in by_itself:
        assert sum(run.started_at - DAY < other.started_at <= run.started_at for other in by_itself) <= a_day
    assert len(loop.reasons) == len(runs)
    numbers = [number for number, *_ in loop.counted + loop.new]
    assert sorted(numbers) == list(range(1, loop.labels + 1))
