"""A classifier that reads each window once: under attack much of a conversation stays what it was, and twins share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.classifier import Classifier, ClassifierOutput, WindowBatch

Memory = dict[bytes, NDArray[np.float32]]
"""Logits [labels] by window. Good for one model file."""


class Remembering:
    """`classifier`, asked only for windows that `memory` lacks. Contributions are not kept: they come out as zeros."""

    def __init__(self, classifier: Classifier, memory: Memory) -> None:
        self.name = classifier.name
        self.version = classifier.version
        self._classifier = classifier
        self._memory = memory

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        """Logits as they were computed in the first batch that had the window."""
        keys = [_key(batch, row) for row in range(len(batch))]
        new = {key: row for row, key in enumerate(keys) if key not in self._memory}
        if new:
            logits = self._classifier.score(_only(batch, list(new.values()))).logits
            self._memory.update(zip(new, logits, strict=True))
        found = np.stack([self._memory[key] for key in keys])
        shape = (*batch.input_ids.shape, found.shape[1])
        return ClassifierOutput(found, np.broadcast_to(np.float32(0), shape))


def _key(batch: WindowBatch, row: int) -> bytes:
    kept = batch.attention_mask[row] > 0
    parts = (batch.input_ids[row, kept], batch.agent_mask[row, kept], batch.features[row])
    return b"".join(part.tobytes() for part in parts)


def _only(batch: WindowBatch, rows: list[int]) -> WindowBatch:
    longest = int(batch.attention_mask[rows].sum(axis=1).max())
    columns = slice(0, longest)
    return WindowBatch(
        batch.input_ids[rows, columns],
        batch.attention_mask[rows, columns],
        batch.agent_mask[rows, columns],
        batch.features[rows],
    )
