from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.rollout import steps
from deploy.rollout.comparison import Comparison, Paired, Pairs, Tally
from deploy.rollout.deciding import decide
from deploy.rollout.policy import Minimum, Policy
from deploy.rollout.state import SYSTEM, Rollout, RolloutStage, Step, first
from deploy.rollout.watching import Watched, findings

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY = Policy()
BY: dict[str, Any] = {"actor": "ada", "reason": "a test", "at": NOW}
LATER = NOW + timedelta(hours=6)
MUCH_LATER = NOW + timedelta(hours=169)


def shadow() -> Rollout:
    return steps.start(first("v1", NOW), "v2", **BY)


def canary(share: float = 0.1) -> Rollout:
    return steps.advance(shadow(), share, **BY)


def tally(conversations: int, *, seconds: float = 0.01, **fields: Any) -> Tally:
    """One event a conversation, whose times spread like their mean."""
    return Tally(
        events=conversations,
        conversations=conversations,
        timed=conversations,
        seconds=seconds * conversations,
        seconds_squared=2 * seconds**2 * conversations,
        **fields,
    )


def in_shadow(flagged: Pairs, *, seconds: float = 0.01, **paired: Any) -> Comparison:
    n = flagged.judged
    return Comparison(
        stable=tally(n, flagged=flagged.both + flagged.only_stable),
        candidate=tally(n, flagged=flagged.both + flagged.only_candidate, seconds=seconds),
        paired=Paired(flagged=flagged, **{"incomplete": Pairs(neither=n), **paired}),
    )


ALIKE = Pairs(both=100, only_candidate=5, only_stable=5, neither=1890)


def in_canary(candidate: Tally | None = None, stable: Tally | None = None) -> Comparison:
    return Comparison(stable=stable or tally(18_000, flagged=900), candidate=candidate or tally(2_000, flagged=100))


def decided(rollout: Rollout, comparison: Comparison, now: datetime = LATER, policy: Policy = POLICY) -> Rollout:
    made = decide(rollout, comparison, policy, now)
    assert made is not None
    assert (made.actor, made.revision) == (SYSTEM, rollout.revision + 1)
    return made


def test_with_nobody_on_the_way_there_is_nothing_to_decide() -> None:
    assert decide(first("v1", NOW), in_canary(), POLICY, MUCH_LATER) is None


# Onwards


def test_a_good_candidate_goes_from_shadow_to_canary_to_stable() -> None:
    advanced = decided(shadow(), in_shadow(ALIKE))
    assert (advanced.stage, advanced.share, advanced.step) == (RolloutStage.CANARY, 0.1, Step.ADVANCED)
    assert advanced.reason.startswith("no harm: 2000 events of the candidate in 6.0 hours of shadow: ")
    assert "flags 5.25% of 2000 conversations, the stable version 5.25% of 2000" in advanced.reason
    promoted = decided(advanced, in_canary(), LATER + timedelta(hours=6))
    assert (promoted.stage, promoted.stable, promoted.previous) == (RolloutStage.STEADY, "v2", "v1")
    assert "flags 5.00% of 2000 conversations, the stable version 5.00% of 18000" in promoted.reason


@pytest.mark.parametrize("rollout", [shadow(), canary()], ids=["shadow", "canary"])
def test_each_stage_takes_its_minimum_of_events_and_time(rollout: Rollout) -> None:
    comparison = in_shadow(ALIKE) if rollout.stage is RolloutStage.SHADOW else in_canary()
    time = POLICY.minimum(rollout.stage).time
    assert decide(rollout, comparison, POLICY, NOW + time - timedelta(seconds=1)) is None
    assert decide(rollout, comparison, POLICY, NOW + time) is not None
    more = Minimum(events=2001, time=time)
    assert decide(rollout, comparison, Policy(shadow=more, canary=more), MUCH_LATER - timedelta(hours=2)) is None


def test_little_traffic_of_a_good_candidate_is_waited_for() -> None:
    few = in_canary(tally(510, flagged=5), tally(4590, flagged=45))
    assert decide(canary(), few, POLICY, LATER) is None
    many = in_canary(tally(5000, flagged=50), tally(45_000, flagged=450))
    assert decided(canary(), many).step is Step.PROMOTED


# Back


HARM = [
    (shadow(), in_shadow(Pairs(both=50, only_candidate=250, only_stable=0, neither=700)), "flags 30.00%"),
    (shadow(), in_shadow(Pairs(both=2, only_candidate=0, only_stable=300, neither=1000)), "flags 0.15%"),
    (shadow(), in_shadow(ALIKE, incomplete=Pairs(only_candidate=200, neither=1800)), "fails to judge all of 10.00%"),
    (shadow(), in_shadow(ALIKE, seconds=0.05), "takes 50 ms for an event, the stable version 10 ms"),
    (shadow(), in_shadow(ALIKE, confirmed=40, missed=30), "does not flag 30 of 40 that people confirmed"),
    (
        shadow(),
        in_shadow(Pairs(both=0, only_candidate=300, only_stable=300, neither=400)),
        "judges 60.00% of 1000 conversations differently",
    ),
    (canary(), in_canary(tally(300, flagged=150), tally(2700, flagged=135)), "flags 50.00% of 300"),
    (canary(), in_canary(tally(3000, flagged=0), tally(27_000, flagged=2700)), "flags 0.00% of 3000"),
    (canary(), in_canary(tally(20, incomplete=20), tally(180)), "fails to judge all of 100.00% of 20"),
    (canary(), in_canary(tally(500, seconds=0.1), tally(4500)), "takes 100 ms for an event, the stable version 10 ms"),
    (
        canary(),
        in_canary(
            tally(2000, flagged=100, confirmed=10, dismissed=60), tally(18_000, flagged=900, confirmed=90, dismissed=10)
        ),
        "people confirmed 10 of 70, of the stable version's 90 of 100",
    ),
]


@pytest.mark.parametrize(("rollout", "comparison", "words"), HARM)
def test_harm_rolls_back_at_once(rollout: Rollout, comparison: Comparison, words: str) -> None:
    """Before any minimum of time, and while the rollout is paused, too."""
    for each in (rollout, steps.pause(rollout, **BY)):
        made = decided(each, comparison, NOW + timedelta(seconds=10))
        assert (made.step, made.stage, made.stable, made.candidate) == (
            Step.ROLLED_BACK,
            RolloutStage.STEADY,
            "v1",
            None,
        )
        assert made.reason.startswith("harm: ")
        assert words in made.reason
        assert ", p = " in made.reason


@pytest.mark.parametrize("rollout", [shadow(), canary()], ids=["shadow", "canary"])
def test_without_traffic_a_candidate_is_rolled_back_in_the_end(rollout: Rollout) -> None:
    nothing = Comparison()
    assert decide(rollout, nothing, POLICY, MUCH_LATER - timedelta(hours=2)) is None
    made = decided(rollout, nothing, MUCH_LATER)
    assert made.step is Step.ROLLED_BACK
    assert made.reason == (
        f"too little traffic to tell anything: 0 events of the candidate in 169.0 hours of {rollout.stage.value}"
    )


def test_a_pause_stops_the_clock_and_the_way_on() -> None:
    paused = steps.pause(canary(), **BY)
    assert decide(paused, in_canary(), POLICY, MUCH_LATER) is None
    assert decide(paused, Comparison(), POLICY, MUCH_LATER) is None
    resumed = steps.resume(paused, **{**BY, "at": MUCH_LATER})
    assert decide(resumed, Comparison(), POLICY, MUCH_LATER + timedelta(hours=1)) is None
    assert decided(resumed, Comparison(), MUCH_LATER + timedelta(hours=168)).step is Step.ROLLED_BACK
    assert decided(resumed, in_canary(), MUCH_LATER + timedelta(hours=1)).step is Step.PROMOTED


# Neither shown


@pytest.mark.parametrize(("flagged", "step"), [(400, Step.PROMOTED), (425, Step.ROLLED_BACK)])
@pytest.mark.parametrize("how", ["patience", "time"])
def test_what_cannot_be_shown_is_decided_by_what_was_seen(flagged: int, step: Step, how: str) -> None:
    """Up to 1.5 times the stable version's 5 % and half a point more, 8 %, is within the margin."""
    close = in_canary(tally(5000, flagged=flagged), tally(45_000, flagged=2250))
    if how == "patience":
        assert decide(canary(), close, Policy(patience=10.1), LATER) is None
        made = decided(canary(), close)
    else:
        made = decided(canary(), close, MUCH_LATER, Policy(patience=100))
    assert made.step is step
    assert ("though it cannot be ruled out" in made.reason) == (step is Step.PROMOTED)
    assert f"flags {flagged / 50:.2f}% of 5000" in made.reason


def test_a_doubled_flag_rate_never_becomes_stable() -> None:
    source = np.random.default_rng(12)
    for _ in range(40):
        rollout, mine, theirs = canary(), 0, 0
        for look in range(1, 21):
            mine += source.binomial(250, 0.10)
            theirs += source.binomial(2250, 0.05)
            seen = in_canary(tally(250 * look, flagged=mine), tally(2250 * look, flagged=theirs))
            if made := decide(rollout, seen, POLICY, LATER):
                break
        assert made is not None
        assert made.step is Step.ROLLED_BACK


def test_a_few_labels_decide_nothing() -> None:
    bad_luck = tally(5000, flagged=250, dismissed=4), tally(45_000, flagged=2250, confirmed=5)
    assert decided(canary(), in_canary(*bad_luck)).step is Step.PROMOTED
    assert decided(shadow(), in_shadow(ALIKE, confirmed=3, missed=2)).step is Step.ADVANCED


def test_who_gets_everything_is_compared_with_nobody() -> None:
    alone = in_canary(tally(5000, flagged=400), Tally())
    assert decide(canary(1.0), in_canary(tally(600), Tally()), POLICY, LATER) is None
    assert decided(canary(1.0), alone).step is Step.PROMOTED


# What is watched


def test_each_stage_watches_what_it_can_see() -> None:
    common = {Watched.FLAGS_MORE, Watched.FLAGS_LESS, Watched.INCOMPLETE, Watched.SLOWER}
    for comparison in (Comparison(), in_canary()):
        assert {each.what for each in findings(shadow(), comparison, POLICY)} == {
            *common,
            Watched.DISAGREES,
            Watched.MISSES,
        }
        assert {each.what for each in findings(canary(), comparison, POLICY)} == {*common, Watched.LESS_PRECISE}


def test_of_nothing_there_is_no_evidence() -> None:
    for rollout in (shadow(), canary()):
        for each in findings(rollout, Comparison(), POLICY):
            assert each.is_within
            assert each.harm == pytest.approx(1)
            assert each.doubt in (None, 1.0)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    conversations = draw(st.integers(0, 5000))
    few = st.integers(0, conversations)
    return tally(
        conversations,
        seconds=draw(st.floats(0.001, 10)),
        flagged=draw(few),
        incomplete=draw(few),
        confirmed=draw(st.integers(0, 50)),
        dismissed=draw(st.integers(0, 50)),
    )


small = st.integers(0, 2000)
pairs = st.builds(Pairs, both=small, only_candidate=small, only_stable=small, neither=small)


@given(
    st.builds(
        Comparison, stable=tallies(), candidate=tallies(), paired=st.builds(Paired, flagged=pairs, incomplete=pairs)
    ),
    st.booleans(),
    st.booleans(),
    st.timedeltas(timedelta(hours=-1), timedelta(hours=200)),
)
def test_whatever_is_seen_the_decision_is_a_step_with_a_reason(
    comparison: Comparison, is_canary: bool, pauses: bool, passed: timedelta
) -> None:
    rollout = canary() if is_canary else shadow()
    rollout = steps.pause(rollout, **BY) if pauses else rollout
    for each in findings(rollout, comparison, POLICY):
        assert 0 <= each.harm <= 1
        assert each.doubt is None or 0 <= each.doubt <= 1
    made = decide(rollout, comparison, POLICY, NOW + passed)
    assert decide(rollout, comparison, POLICY, NOW + passed) == made
    if made is None:
        return
    onwards = Step.PROMOTED if is_canary else Step.ADVANCED
    assert made.step in (Step.ROLLED_BACK, onwards)
    assert made.revision == rollout.revision + 1
    assert any(character.isdigit() for character in made.reason)
    assert made.step is Step.ROLLED_BACK or not pauses


@pytest.mark.parametrize(
    "fields",
    [
        {"events": 5, "conversations": 6},
        {"events": 5, "conversations": 5, "flagged": 6},
        {"events": 5, "conversations": 5, "incomplete": 6},
        {"events": 5, "conversations": 5, "timed": 6},
        {"events": 5, "conversations": 5, "seconds": 1.0},
        {"events": 5, "conversations": 5, "timed": 5, "seconds": 10.0, "seconds_squared": 1.0},
        {"events": -1},
    ],
)
def test_counts_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Tally(**fields)
    with pytest.raises(ValidationError):
        Paired(confirmed=1, missed=2)
