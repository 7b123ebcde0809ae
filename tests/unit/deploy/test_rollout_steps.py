from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.rollout import steps
from deploy.rollout.errors import NotAllowedStep
from deploy.rollout.state import Rollout, RolloutStage, Step, first

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
BY: Final[dict[str, Any]] = {"actor": "ada", "reason": "a test", "at": NOW}


def at(stage: RolloutStage) -> Rollout:
    rollout = first("v1", NOW)
    if stage is not RolloutStage.STEADY:
        rollout = steps.start(rollout, "v2", **BY)
    return steps.advance(rollout, 0.1, **BY) if stage is RolloutStage.CANARY else rollout


VERBS: Final[dict[str, Callable[..., Rollout]]] = {
    "start": lambda rollout, name, share, **by: steps.start(rollout, name, **by),
    "advance": lambda rollout, name, share, **by: steps.advance(rollout, share, **by),
    "promote": lambda rollout, name, share, **by: steps.promote(rollout, **by),
    "roll_back": lambda rollout, name, share, **by: steps.roll_back(rollout, **by),
    "pause": lambda rollout, name, share, **by: steps.pause(rollout, **by),
    "resume": lambda rollout, name, share, **by: steps.resume(rollout, **by),
}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(VERBS)),
            st.sampled_from(["v1", "v2", "v3"]),
            st.floats(0, 1),
            st.timedeltas(timedelta(hours=-1), timedelta(hours=1)),
        ),
        max_size=40,
    )
)
def test_whatever_is_done_the_rollout_stays_whole(wanted: list[tuple[str, str, float, timedelta]]) -> None:
    rollout, now = first("v1", NOW), NOW
    for verb, name, share, passed in wanted:
        now += passed
        try:
            made = VERBS[verb](rollout, name, share, actor="ada", reason="why not", at=now)
        except NotAllowedStep:
            continue
        assert Rollout.model_validate_json(made.model_dump_json()) == made
        assert made.revision == rollout.revision + 1
        assert made.at >= max(rollout.at, made.stage_began_at)
        _check_step(rollout, made)
        rollout = made


def _check_step(before: Rollout, made: Rollout) -> None:
    match made.step:
        case Step.STARTED:
            assert (made.stage, made.stable, made.share) == (RolloutStage.SHADOW, before.stable, 0.0)
        case Step.ADVANCED:
            assert made.stage is RolloutStage.CANARY
            assert made.share > before.share
            assert (made.candidate, made.salt) == (before.candidate, before.salt)
        case Step.PROMOTED:
            assert (made.stable, made.previous) == (before.candidate, before.stable)
        case Step.ROLLED_BACK:
            back = before.stable if before.candidate else before.previous
            assert (made.stable, made.candidate) == (back, None)
        case Step.PAUSED | Step.RESUMED:
            kept = {"stage", "stable", "candidate", "previous", "share", "salt", "stage_began_at"}
            assert made.model_dump(include=kept) == before.model_dump(include=kept)
    assert made.paused == (made.step is Step.PAUSED)
    if made.step not in (Step.PAUSED, Step.RESUMED):
        assert made.stage_began_at == made.at


def test_a_promoted_version_can_be_gone_back_from_once() -> None:
    promoted = steps.promote(at(RolloutStage.CANARY), **BY)
    assert (promoted.stage, promoted.stable, promoted.previous) == (RolloutStage.STEADY, "v2", "v1")
    back = steps.roll_back(promoted, **BY)
    assert (back.stable, back.previous, back.candidate) == ("v1", None, None)
    with pytest.raises(NotAllowedStep, match="neither a candidate nor a previous"):
        steps.roll_back(back, **BY)
    again = steps.start(back, "v2", **BY)
    assert again.candidate == "v2"


def test_a_candidate_that_is_rolled_back_takes_nothing_along() -> None:
    promoted = steps.promote(at(RolloutStage.CANARY), **BY)
    back = steps.roll_back(steps.start(promoted, "v3", **BY), **BY)
    assert (back.stable, back.previous, back.candidate, back.share, back.salt) == ("v2", "v1", None, 0.0, "")


@pytest.mark.parametrize(
    ("stage", "step", "problem"),
    [
        (RolloutStage.STEADY, lambda rollout: steps.start(rollout, "v1", **BY), "stable already"),
        (RolloutStage.STEADY, lambda rollout: steps.start(rollout, "", **BY), "no name"),
        (RolloutStage.STEADY, lambda rollout: steps.start(rollout, "a\nb", **BY), "no name"),
        (RolloutStage.STEADY, lambda rollout: steps.advance(rollout, 0.1, **BY), "no candidate"),
        (RolloutStage.STEADY, lambda rollout: steps.promote(rollout, **BY), "no candidate"),
        (RolloutStage.STEADY, lambda rollout: steps.pause(rollout, **BY), "no candidate"),
        (RolloutStage.SHADOW, lambda rollout: steps.resume(rollout, **BY), "not paused"),
        (RolloutStage.SHADOW, lambda rollout: steps.start(rollout, "v3", **BY), "on its way already"),
        (RolloutStage.SHADOW, lambda rollout: steps.advance(rollout, 0.0, **BY), "the share"),
        (RolloutStage.CANARY, lambda rollout: steps.advance(rollout, 0.1, **BY), "the share"),
        (RolloutStage.CANARY, lambda rollout: steps.advance(rollout, 1.1, **BY), "the share"),
        (RolloutStage.CANARY, lambda rollout: steps.advance(rollout, float("nan"), **BY), "the share"),
        (RolloutStage.CANARY, lambda rollout: steps.promote(rollout, **{**BY, "reason": " \n"}), "a reason"),
        (RolloutStage.CANARY, lambda rollout: steps.promote(rollout, **{**BY, "reason": "x" * 2001}), "a reason"),
        (RolloutStage.CANARY, lambda rollout: steps.promote(rollout, **{**BY, "reason": "a\0b"}), "a reason"),
        (RolloutStage.CANARY, lambda rollout: steps.promote(rollout, **{**BY, "actor": ""}), "who does this"),
    ],
)
def test_steps_that_lead_nowhere(stage: RolloutStage, step: Callable[[Rollout], Rollout], problem: str) -> None:
    with pytest.raises(NotAllowedStep, match=problem):
        step(at(stage))


def test_a_pause_is_not_a_new_stage() -> None:
    began = at(RolloutStage.CANARY)
    later = {**BY, "at": NOW + timedelta(hours=5)}
    paused = steps.pause(began, **later)
    with pytest.raises(NotAllowedStep, match="paused already"):
        steps.pause(paused, **later)
    resumed = steps.resume(paused, **later)
    assert (resumed.stage_began_at, resumed.at, resumed.paused) == (NOW, NOW + timedelta(hours=5), False)


def test_each_attempt_of_a_candidate_has_conversations_of_its_own() -> None:
    one = steps.start(first("v1", NOW), "v2", **BY)
    again = steps.start(steps.roll_back(one, **BY), "v2", **BY)
    long = "x" * 200
    other = steps.start(first("v1", NOW), f"{long}1", **BY), steps.start(first("v1", NOW), f"{long}2", **BY)
    assert len({one.salt, again.salt, other[0].salt, other[1].salt}) == 4


def test_a_revision_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        at(RolloutStage.SHADOW).stable = "v3"
