"""The paired bootstrap gives what can be worked out by hand, and keeps groups together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.evaluation import auroc
from retrain.gate.bootstrap import Draws, difference

scored = st.lists(
    st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.9])), min_size=2, max_size=25
).filter(lambda rows: len({row[1] for row in rows}) == 2)


def _draws(groups: list[int], positive: list[bool], resamples: int = 50) -> Draws:
    names = np.asarray([f"g{group}" for group in groups])
    return Draws(names, np.asarray(positive), resamples=resamples, rng=np.random.default_rng(1))


@given(scored)
def test_each_draw_is_measured_as_if_its_rows_were_written_out(rows: list[tuple[int, bool, float]]) -> None:
    groups, positive, scores = zip(*rows, strict=True)
    truth, values = np.asarray(positive), np.asarray(scores)
    draws = _draws(list(groups), list(positive), resamples=5)
    aurocs, rates = draws.aurocs(values, truth), draws.rates(values >= 0.5, truth)
    for found, rate, places in zip(aurocs, rates, draws.rows(), strict=True):
        drawn = truth[places]
        assert drawn.any()
        assert not drawn.all()  # no draw lacks a class
        assert found == pytest.approx(auroc(values[places], drawn))
        assert rate == pytest.approx((values[places][drawn] >= 0.5).mean())
    assert draws.rows()[0].tolist() == list(range(len(rows)))  # the first one is what was seen


def test_twins_are_drawn_together() -> None:
    draws = _draws([0, 0, 1, 1, 2, 2], [True, False] * 3)
    for places in draws.rows():
        counts = np.bincount(places, minlength=6)
        assert counts[::2].tolist() == counts[1::2].tolist()


def test_a_difference_has_its_bounds_and_how_probable_it_is() -> None:
    champion = np.asarray([0.5, *[0.5] * 100])
    candidate = np.asarray([0.6, *[0.4] * 10, *[0.5] * 20, *[0.7] * 70])
    found = difference(champion, candidate, confidence=0.95)
    assert found.difference == pytest.approx(0.1)
    assert (found.low, found.high) == (pytest.approx(-0.1), pytest.approx(0.2))
    assert found.more == pytest.approx(0.8)


def test_the_same_seed_draws_the_same() -> None:
    first, again = (_draws([0, 1, 2, 3], [True, False, True, False]) for _ in range(2))
    assert all((one == other).all() for one, other in zip(first.rows(), again.rows(), strict=True))
