from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.rollout import steps
from deploy.rollout.state import Rollout, first, in_share
from detectors.verdict import Arm

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
N = 20_000
SIX_SIGMA = 6.0
DRAWN = [6, 20, 21, 26, 38]
keys = st.tuples(st.text(max_size=20), st.text(max_size=40))


def canary(share: float, candidate: str = "v2") -> Rollout:
    by = {"actor": "ada", "reason": "a test", "at": NOW}
    return steps.advance(steps.start(first("v1", NOW), candidate, **by), share, **by)  # type: ignore[arg-type]


@given(keys, st.floats(0, 1), st.floats(0, 1), st.text(max_size=80))
def test_a_larger_share_holds_a_smaller_one(key: tuple[str, str], one: float, other: float, salt: str) -> None:
    small, large = sorted((one, other))
    assert in_share(*key, small, salt) <= in_share(*key, large, salt)
    assert not in_share(*key, 0.0, salt)
    assert in_share(*key, 1.0, salt)


@given(keys, st.floats(0.01, 1))
def test_a_conversation_stays_in_its_arm_whoever_asks(key: tuple[str, str], share: float) -> None:
    rollout = canary(share)
    arm = rollout.arm_of(*key)
    assert arm in (Arm.STABLE, Arm.CANARY)
    assert Rollout.model_validate_json(rollout.model_dump_json()).arm_of(*key) is arm
    if share < 1 and arm is Arm.CANARY:
        grown = steps.advance(rollout, 1.0, actor="ada", reason="more", at=NOW)
        assert grown.arm_of(*key) is Arm.CANARY
    paused = steps.pause(rollout, actor="ada", reason="wait", at=NOW)
    assert paused.arm_of(*key) is arm


def test_who_is_drawn_is_known_for_ever() -> None:
    """These were drawn by the first release: another one that runs beside it must draw the same."""
    drawn = [n for n in range(40) if in_share("acme", f"conversation-{n}", 0.2, "salt")]
    assert drawn == DRAWN


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", ["conversation-{}", "{:032x}", "{}"])
def test_the_share_is_the_stated_one(share: float, shape: str) -> None:
    count = sum(in_share("acme", shape.format(n), share, "a salt") for n in range(N))
    assert abs(count - N * share) <= SIX_SIGMA * math.sqrt(N * share * (1 - share)) + 1


def test_tenants_and_conversations_are_not_run_together() -> None:
    pairs = [(f"t{n}", f"{n}c") for n in range(2000)]
    moved = [(f"t{n}{str(n)[0]}", f"{str(n)[1:]}c") for n in range(2000)]
    both = sum(in_share(*a, 0.5, "s") == in_share(*b, 0.5, "s") for a, b in zip(pairs, moved, strict=True))
    assert abs(both - 1000) <= SIX_SIGMA * math.sqrt(2000 / 4)


def test_who_one_candidate_draws_says_nothing_of_who_the_next_one_does() -> None:
    one, other = canary(0.3, "v2"), canary(0.3, "v3")
    both = sum(
        one.arm_of("acme", f"c{n}") is Arm.CANARY and other.arm_of("acme", f"c{n}") is Arm.CANARY for n in range(N)
    )
    assert abs(both - N * 0.09) <= SIX_SIGMA * math.sqrt(N * 0.09 * 0.91)


@given(keys)
def test_in_no_other_stage_does_a_candidate_decide(key: tuple[str, str]) -> None:
    by = {"actor": "ada", "reason": "a test", "at": NOW}
    started = steps.start(first("v1", NOW), "v2", **by)  # type: ignore[arg-type]
    promoted = steps.promote(canary(0.5), **by)  # type: ignore[arg-type]
    assert {each.arm_of(*key) for each in (first("v1", NOW), started, promoted)} == {Arm.STABLE}
