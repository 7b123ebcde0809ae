"""What every classifier looks like to the ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.features import StructuralFeatures
from detectors.windows import Window


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """Windows as arrays.

    `input_ids`, `attention_mask` (1: not padding) and `agent_mask` (1: the agent's own words, which are what is
    judged): int64 [windows, tokens]; `features`: float32 [windows, features].
    """

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    agent_mask: NDArray[np.int64]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, slots=True)
class ClassifierOutput:
    """`logits` [windows, labels], and each token's share in them, `contributions` [windows, tokens, labels]."""

    logits: NDArray[np.float32]
    contributions: NDArray[np.float32]


class Classifier(Protocol):
    """Scores windows. Safe to call from one thread at a time."""

    name: str
    version: str

    def score(self, batch: WindowBatch) -> ClassifierOutput: ...


class Batcher:
    """Pads windows into batches of similar length."""

    def __init__(self, features: StructuralFeatures, *, pad_id: int, size: int) -> None:
        self._features = features
        self._pad_id = pad_id
        self._size = size

    def at_least(self, size: int) -> Batcher:
        """The same with batches of `size` windows, where its own are smaller."""
        return Batcher(self._features, pad_id=self._pad_id, size=max(self._size, size))

    def batches(self, windows: Sequence[Window]) -> list[tuple[NDArray[np.intp], WindowBatch]]:
        """(indices into `windows`, batch) with at most `size` windows each, longest windows first.

        Sorting by length keeps padding, which costs as much as text, to a minimum.
        """
        if not windows:
            return []
        order = np.argsort([-len(window) for window in windows], kind="stable")
        groups = [order[first : first + self._size] for first in range(0, len(order), self._size)]
        return [(group, self.pad([windows[index] for index in group])) for group in groups]

    def pad(self, windows: Sequence[Window]) -> WindowBatch:
        """One batch of all `windows`, in order."""
        longest = max(len(window) for window in windows)
        input_ids = np.full((len(windows), longest), self._pad_id, dtype=np.int64)
        attention_mask = np.zeros((len(windows), longest), dtype=np.int64)
        agent_mask = np.zeros((len(windows), longest), dtype=np.int64)
        for row, window in enumerate(windows):
            input_ids[row, : len(window)] = window.input_ids
            attention_mask[row, : len(window)] = 1
            agent_mask[row, : len(window)] = window.of_agent
        return WindowBatch(input_ids, attention_mask, agent_mask, self._features(windows))
