from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.summary import STATISTICS, Summaries

windows = st.lists(st.tuples(st.integers(0, 2), st.floats(-50, 50, width=32)), max_size=12)


def summaries(scored: list[tuple[int, float]]) -> Summaries:
    owner = np.asarray([conversation for conversation, _ in scored], dtype=np.intp)
    logits = np.asarray([[logit, -logit] for _, logit in scored], dtype=np.float32).reshape(-1, 2)
    return Summaries.of(logits, owner, 3)


@given(windows, windows, windows)
def test_merged_parts_are_the_summary_of_the_whole(
    one: list[tuple[int, float]], two: list[tuple[int, float]], three: list[tuple[int, float]]
) -> None:
    whole = summaries([*one, *two, *three]).statistics()
    a, b, c = summaries(one), summaries(two), summaries(three)
    for merged in (a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(a).merge(b)):
        np.testing.assert_allclose(merged.statistics(), whole, rtol=1e-9, atol=1e-9)


@given(windows)
def test_the_statistics_are_what_they_say(scored: list[tuple[int, float]]) -> None:
    found = summaries(scored).statistics()
    assert found.shape == (3, 2, len(STATISTICS))
    for conversation in range(3):
        mine = np.sort([np.float64(np.float32(logit)) for owner, logit in scored if owner == conversation])[::-1]
        if not len(mine):
            assert np.isneginf(found[conversation]).all()
            continue
        expected = [mine[0], mine[:3].mean(), mine.mean()]
        np.testing.assert_allclose(found[conversation, 0], expected, rtol=1e-6, atol=1e-6)


def test_a_window_that_is_not_a_number_spoils_its_conversation_and_no_other() -> None:
    found = summaries([(0, 1.0), (0, float("nan")), (1, 2.0)]).statistics()
    assert np.isnan(found[0]).any(axis=1).all()
    assert np.isfinite(found[1]).all()
