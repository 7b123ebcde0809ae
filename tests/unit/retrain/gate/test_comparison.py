"""Where a candidate is worse on one slice it is refused, and the refusal says where, by how much, and by which rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.gate.comparison import Comparison
from retrain.gate.policy import Margin, Policy
from retrain.gate.report import MOST_EXAMPLES
from retrain.gate.sheet import Opinions, Sheet, Slice, merge_small

GOOD = [0.9] * 30 + [0.1] * 30
MakeSheet = Callable[..., Sheet]
MakeOpinions = Callable[[list[float]], Opinions]


def test_a_candidate_that_is_the_champion_is_not_worse(
    make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy
) -> None:
    sheet, same = make_sheet(30, "language:de"), make_opinions(GOOD)
    reports, refusals = Comparison(sheet, same, same, policy).slices()
    assert refusals == []
    assert [each.slice for each in reports] == ["all:all", "language:de"]
    assert [each.metric for each in reports[0].metrics] == ["recall", "false_positive_rate", "auroc"]


def test_lost_recall_is_refused_with_numbers_and_ids(
    make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy
) -> None:
    worse = make_opinions([0.3] * 15 + [0.9] * 15 + [0.1] * 30)
    _, refusals = Comparison(make_sheet(30), make_opinions(GOOD), worse, policy).slices()
    (refusal,) = refusals  # the ranking is as good as before
    assert (refusal.slice, refusal.metric) == ("all:all", "recall")
    assert (refusal.champion, refusal.candidate, refusal.difference) == (1.0, 0.5, -0.5)
    assert refusal.low is not None
    assert refusal.high is not None
    assert refusal.low < -0.5 < refusal.high
    assert refusal.margin == round(policy.recall.of(30), 4)
    assert refusal.examples == tuple(f"bad-{number}" for number in range(15))


def test_false_alarms_are_refused(make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy) -> None:
    loud = make_opinions([0.9] * 30 + [0.6] * 28 + [0.1] * 2)
    _, refusals = Comparison(make_sheet(30), make_opinions(GOOD), loud, policy).slices()
    assert [each.metric for each in refusals] == ["false_positive_rate"]
    assert refusals[0].examples == tuple(f"good-{number}" for number in range(MOST_EXAMPLES))
    assert refusals[0].high is not None
    assert refusals[0].margin is not None
    assert refusals[0].high > refusals[0].margin


def test_one_false_alarm_after_none_is_within_the_margin(
    make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy
) -> None:
    silent, speaks = make_opinions([0.1] * 60), make_opinions([0.9] * 30 + [0.6] + [0.1] * 29)
    reports, refusals = Comparison(make_sheet(30), silent, speaks, policy).slices()
    assert refusals == []
    assert reports[0].metrics[1].margin == round(policy.false_positive_rate.of(30), 4)


def test_a_worse_order_is_refused_though_nothing_is_flagged_by_either(
    make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy
) -> None:
    ordered, mixed = make_opinions([0.3] * 30 + [0.1] * 30), make_opinions([0.1, 0.3] * 30)
    _, refusals = Comparison(make_sheet(30, "category:deception"), ordered, mixed, policy).slices()
    assert {(each.slice, each.metric) for each in refusals} == {
        ("all:all", "auroc"),
        ("category:deception", "auroc"),
        ("category:deception", "category_auroc"),
    }
    worst = refusals[0].examples
    assert len(worst) == MOST_EXAMPLES
    assert {name for name in worst if name.startswith("bad")} <= {f"bad-{number}" for number in range(0, 30, 2)}


def test_nothing_can_be_lost_below_chance(make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy) -> None:
    guessing, upside_down = make_opinions([0.1, 0.3] * 30), make_opinions([0.1] * 30 + [0.3] * 30)
    reports, refusals = Comparison(make_sheet(30), guessing, upside_down, policy).slices()
    assert refusals == []
    assert reports[0].metrics[2].candidate == 0.5
    good = make_opinions([0.3] * 30 + [0.1] * 30)
    _, refusals = Comparison(make_sheet(30), good, upside_down, policy).slices()
    assert [(each.metric, each.candidate, each.difference) for each in refusals] == [("auroc", 0.5, -0.5)]


def test_a_head_that_lost_its_category_is_refused_though_all_is_still_flagged(
    make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy
) -> None:
    same = make_opinions(GOOD)
    deaf = same.probabilities.copy()
    deaf[:, 2] = 0.2  # deception
    candidate = replace(same, probabilities=deaf)
    _, refusals = Comparison(make_sheet(30, "category:deception"), same, candidate, policy).slices()
    assert [(each.slice, each.metric) for each in refusals] == [("category:deception", "category_auroc")]


def test_a_slice_is_judged_by_itself(make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy) -> None:
    """Lost in one language, made up for in others: on the whole nothing has changed."""
    sheet = make_sheet(30)
    german = np.asarray(([True] * 10 + [False] * 20) * 2)
    members = {**sheet.members, Slice("language", "de"): german, Slice("language", "en"): ~german}
    champion = make_opinions([0.9] * 10 + [0.1] * 10 + [0.9] * 10 + [0.1] * 30)
    candidate = make_opinions([0.1] * 10 + [0.9] * 20 + [0.1] * 30)
    reports, refusals = Comparison(replace(sheet, members=members), champion, candidate, policy).slices()
    assert {each.slice for each in refusals} == {"language:de"}
    assert reports[0].metrics[0].difference == 0


def _masks(sizes: list[int]) -> dict[Slice, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    owner = np.repeat(np.arange(len(sizes)), sizes)
    return {Slice("language", f"l{number}"): owner == number for number in range(len(sizes))}


@given(st.lists(st.integers(1, 12), min_size=1, max_size=8))
def test_no_slice_is_dropped_silently(sizes: list[int]) -> None:
    members = _masks(sizes)
    parts = merge_small(members, lambda rows: int(rows.sum()) >= 6)
    named = [*(name for name in parts.kept if name.name != "other"), *parts.merged, *parts.too_small]
    assert sorted(named) == sorted(members)
    other = parts.kept.get(Slice("language", "other"))
    if other is not None:
        assert other.sum() == sum(rows.sum() for rows in parts.merged.values()) >= 6
        assert not parts.too_small
    else:
        assert not parts.merged
        assert sum(rows.sum() for rows in parts.too_small.values()) < 6 or len(parts.too_small) == 1


def test_small_slices_are_named_in_the_report(
    make_sheet: MakeSheet, make_opinions: MakeOpinions, policy: Policy
) -> None:
    sheet = make_sheet(30)
    few = np.arange(60) < 3
    members = {**sheet.members, Slice("language", "fi"): few, Slice("source", "a"): few}
    same = make_opinions(GOOD)
    reports, _ = Comparison(replace(sheet, members=members), same, same, policy).slices()
    assert {each.slice: each.status for each in reports} == {
        "all:all": "measured",
        "language:fi": "too_small",
        "source:a": "too_small",
    }


@given(st.integers(1, 2000))
def test_margins_shrink_with_evidence_and_never_below_the_floor(groups: int) -> None:
    margin = Margin(floor=0.05, per_root=1.5, few=6)
    assert margin.of(groups) >= margin.of(groups + 1) >= 0.05


def test_a_margin_is_what_its_formula_says() -> None:
    margin = Margin(floor=0.05, per_root=1.5, few=6)
    assert [margin.of(groups) for groups in (8, 100, 10_000)] == [0.75, pytest.approx(0.15), 0.05]
