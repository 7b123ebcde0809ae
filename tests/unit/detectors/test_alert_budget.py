from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.alert_budget import solve

traffic = st.integers(1, 60).flatmap(
    lambda count: st.lists(
        st.lists(
            st.sampled_from([0.0, 0.2, 0.6, 0.9]) | st.floats(0, 1, exclude_max=True), min_size=count, max_size=count
        ),
        min_size=1,
        max_size=4,
    )
)


@given(traffic, st.floats(0.5, 40), st.floats(0.1, 30), st.sampled_from([0.0, 0.5]))
def test_the_budget_is_never_exceeded_and_used_as_far_as_ties_allow(
    scores: list[list[float]], alerts: float, days: float, floor: float
) -> None:
    by_label = {f"label_{n}": np.asarray(values) for n, values in enumerate(scores)}
    found = solve(by_label, days=days, alerts_per_day=alerts, floor=floor)
    flagged = np.zeros(len(scores[0]), dtype=bool)
    for label, budget in found.labels.items():
        assert floor <= budget.threshold <= 1
        assert budget.low <= budget.per_day <= budget.high
        flagged |= by_label[label] >= budget.threshold
    assert flagged.sum() <= alerts * days
    assert found.per_day == pytest.approx(flagged.sum() / days)
    assert found.low <= found.per_day <= found.high


def test_a_generous_budget_leaves_the_floor_and_a_tight_one_the_highest_scores() -> None:
    scores = {"misalignment": np.linspace(0, 0.99, 100)}
    generous = solve(scores, days=1, alerts_per_day=1000, floor=0.5).labels["misalignment"]
    assert (generous.threshold, generous.at_floor) == (0.5, True)
    tight = solve(scores, days=1, alerts_per_day=10, floor=0.5)
    assert not tight.labels["misalignment"].at_floor
    assert tight.per_day == 10
    assert tight.low < 10 < tight.high


def test_labels_share_the_budget_and_a_conversation_counts_once() -> None:
    same = np.linspace(0, 1, 50)
    alone = solve({"a": same}, days=1, alerts_per_day=5, floor=0).per_day
    twice = solve({"a": same, "b": same}, days=1, alerts_per_day=5, floor=0).per_day
    apart = solve({"a": same, "b": same[::-1]}, days=1, alerts_per_day=5, floor=0)
    assert alone == twice == 5
    assert {budget.per_day for budget in apart.labels.values()} == {2}


@pytest.mark.parametrize(
    ("scores", "days", "alerts"),
    [({}, 1, 1), ({"a": np.zeros(0)}, 1, 1), ({"a": np.ones(1)}, 0, 1), ({"a": np.ones(1)}, 1, 0)],
)
def test_without_traffic_time_or_alerts_there_is_nothing_to_solve(scores: dict, days: float, alerts: float) -> None:
    with pytest.raises(ValueError, match="alert budget"):
        solve(scores, days=days, alerts_per_day=alerts, floor=0.5)
