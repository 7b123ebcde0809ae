from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.classifier import Batcher
from detectors.features import StructuralFeatures
from detectors.windows import Window


@given(st.lists(st.integers(1, 20), max_size=12), st.integers(1, 5))
def test_batches_hold_every_window_once_longest_first(
    features: StructuralFeatures, make_window: Callable[..., Window], lengths: list[int], size: int
) -> None:
    windows = [make_window([2000 + index] * length) for index, length in enumerate(lengths)]
    batches = Batcher(features, pad_id=0, size=size).batches(windows)
    order = [int(row) for rows, _ in batches for row in rows]
    assert sorted(order) == list(range(len(windows)))
    assert [lengths[row] for row in order] == sorted(lengths, reverse=True)
    for rows, batch in batches:
        assert len(batch) == len(rows) <= size
        assert (
            batch.input_ids.shape == batch.attention_mask.shape == (len(rows), max(len(windows[row]) for row in rows))
        )
        assert batch.input_ids.dtype == batch.attention_mask.dtype == np.int64
        for row, ids, mask in zip(rows, batch.input_ids, batch.attention_mask, strict=True):
            assert ids[mask == 1].tolist() == windows[row].input_ids.tolist()
            assert mask.tolist() == sorted(mask.tolist(), reverse=True)
            assert not ids[mask == 0].any()
