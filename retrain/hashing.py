"""The screen's hashed n-grams outside the network: what `retrain.model.Screen` and its ONNX graph compute inside.

A word that a window says ten times is not ten times the evidence: counts are damped, as linear models of text usually
do (sublinear term frequency: Manning, Raghavan, Schütze, Introduction to Information Retrieval, 6.4.1), here by their
square root, which can be shared out evenly among the occurrences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from detectors.windows import Window

UNIGRAM_FACTOR: Final = 0x9E3779B1  # odd constants near 2**32 / golden ratio spread neighbouring ids over the buckets
BIGRAM_FACTOR: Final = 0x85EBCA6B
DAMPED: Final = "damped"
"""The initializer by which the graph of a screen with damped counts is known."""


@dataclass(frozen=True, slots=True)
class Hashing:
    """How a screen counts. Screens from before counts were damped are still refitted: theirs are as they are."""

    buckets: int
    damped: bool = True

    @classmethod
    def of(cls, initializers: Mapping[str, NDArray[np.generic]]) -> Hashing:
        """Of a screen's model file."""
        return cls(len(initializers["table"]), DAMPED in initializers)

    def counts(self, windows: Sequence[Window]) -> sparse.csr_matrix:
        """[windows, buckets]: unigrams and bigrams of the agent's tokens over the square root of how many there are.

        Of an n-gram that a window has n times the square root of n, or n itself where counts are not damped.
        """
        rows, columns, values = [], [], []
        for row, window in enumerate(windows):
            mine = window.of_agent
            for hashed in self._hashed(window):
                found, times = np.unique(hashed[mine], return_counts=True)
                rows.append(np.full(len(found), row))
                columns.append(found)
                values.append((np.sqrt(times) if self.damped else times) / np.sqrt(max(1, int(mine.sum()))))
        shape = (len(windows), self.buckets)
        if not windows:
            return sparse.csr_matrix(shape)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_matrix(entries, shape=shape)

    def _hashed(self, window: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Buckets of all tokens, and of all tokens with the one that follows."""
        ids = window.input_ids.astype(np.int64)
        following = np.append(ids[1:], 0)
        pairs = ids * BIGRAM_FACTOR + following * UNIGRAM_FACTOR + 1
        return (ids * UNIGRAM_FACTOR) % self.buckets, pairs % self.buckets


def rarity(counts: sparse.csr_matrix) -> NDArray[np.float64]:
    """[columns]: ln((1 + n) / (1 + conversations that have it)) + 1, and 0 for what only one has."""
    frequency = np.asarray((counts > 0).sum(axis=0)).ravel()
    return np.where(frequency > 1, np.log((1 + counts.shape[0]) / (1 + frequency)) + 1, 0.0)
