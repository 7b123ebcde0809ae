"""A candidate must be better where it was trained to be, unless there is nothing left to gain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")

from retrain.gate.policy import Policy
from retrain.gate.report import Refusal, TargetReport
from retrain.gate.sheet import Opinions, Sheet, Slice
from retrain.gate.targets import Targets

pytestmark = pytest.mark.retrain

TARGET = Slice("category", "deception")
MISSED = [0.1] * 60
CAUGHT = [0.9] * 30 + [0.1] * 30


@pytest.fixture
def measured(
    make_sheet: Callable[..., Sheet], make_opinions: Callable[..., Opinions], policy: Policy
) -> Callable[..., tuple[list[TargetReport], list[Refusal]]]:
    def measure(
        champion: list[float], candidate: list[float], new: dict[Slice, int] | None = None, **changes: object
    ) -> tuple[list[TargetReport], list[Refusal]]:
        sheet = make_sheet(30, str(TARGET))
        among = np.ones(60, dtype=bool)
        opinions = make_opinions(champion), make_opinions(candidate)
        chosen = policy.model_copy(update=changes)
        return Targets({TARGET: 25} if new is None else new, chosen).measured(sheet, among, *opinions)

    return measure


Measure = Callable[..., tuple[list[TargetReport], list[Refusal]]]


def test_what_is_caught_now_is_better(measured: Measure) -> None:
    reports, refusals = measured(MISSED, CAUGHT)
    assert [(each.slice, each.status) for each in reports] == [
        ("target:all", "better"),
        ("category:deception", "better"),
    ]
    assert (reports[1].champion, reports[1].candidate, reports[1].improvement) == (0.0, 1.0, 1.0)
    assert refusals == []


def test_what_is_missed_as_before_is_refused_by_name(measured: Measure) -> None:
    _, refusals = measured(MISSED, MISSED)
    assert [each.slice for each in refusals] == ["target:all", "category:deception"]
    assert {each.metric for each in refusals} == {"informedness_improved"}
    assert refusals[0].examples == tuple(f"bad-{number}" for number in range(20))


def test_nothing_left_to_gain_is_no_reason_to_refuse(measured: Measure) -> None:
    reports, refusals = measured(CAUGHT, CAUGHT)
    assert {each.status for each in reports} == {"at_ceiling"}
    assert refusals == []


def test_fewer_false_alarms_are_better_too(measured: Measure) -> None:
    reports, _ = measured([0.9] * 60, CAUGHT)
    assert {each.status for each in reports} == {"better"}


def test_more_caught_for_as_many_false_alarms_is_not(measured: Measure) -> None:
    _, refusals = measured(MISSED, [0.9] * 60)
    assert len(refusals) == 2


def test_a_few_new_labels_make_no_target(measured: Measure) -> None:
    assert measured(MISSED, MISSED, {TARGET: 19}) == ([], [])
    assert measured(MISSED, MISSED, {Slice("category", "over_refusal"): 99}) == ([], [])
    reports, _ = measured(MISSED, MISSED, {TARGET: 12, Slice("category", "coercion"): 12})
    assert [each.slice for each in reports] == ["target:all"]  # together they are enough


def test_a_target_can_be_named_and_one_that_nobody_held_out_is_reported(measured: Measure) -> None:
    reports, refusals = measured(MISSED, CAUGHT, {}, targets=("category:deception", "source:elsewhere"))
    assert [(each.slice, each.status) for each in reports] == [
        ("target:all", "better"),
        ("category:deception", "better"),
        ("source:elsewhere", "too_small"),
    ]
    assert refusals == []
