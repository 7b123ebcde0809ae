"""The screen's hashed n-grams outside the network: what `retrain.model.Screen` and its ONNX graph compute inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from detectors.windows import Window

UNIGRAM_FACTOR: Final = 0x9E3779B1  # odd constants near 2**32 / golden ratio spread neighbouring ids over the buckets
BIGRAM_FACTOR: Final = 0x85EBCA6B


def hashed_counts(windows: Sequence[Window], buckets: int) -> sparse.csr_matrix:
    """[windows, buckets]: unigrams and bigrams of the agent's tokens over the square root of how many there are."""
    rows, columns, values = [], [], []
    for row, window in enumerate(windows):
        ids = window.input_ids.astype(np.int64)
        following = np.append(ids[1:], 0)
        mine = window.of_agent
        hashed = np.concatenate(
            [
                ((ids * UNIGRAM_FACTOR) % buckets)[mine],
                ((ids * BIGRAM_FACTOR + following * UNIGRAM_FACTOR + 1) % buckets)[mine],
            ]
        )
        rows.append(np.full(len(hashed), row))
        columns.append(hashed)
        values.append(np.full(len(hashed), 1 / np.sqrt(max(1, int(mine.sum())))))
    shape = (len(windows), buckets)
    if not windows:
        return sparse.csr_matrix(shape)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(entries, shape=shape)


def rarity(counts: sparse.csr_matrix) -> NDArray[np.float64]:
    """[columns]: ln((1 + n) / (1 + conversations that have it)) + 1, and 0 for what only one has."""
    frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
    return np.where(frequency > 1, np.log((1 + counts.shape[0]) / (1 + frequency)) + 1, 0.0)
