"""Structural features of a window: what it is made of, not what it says.

Window length is left out on purpose: length alone separates some public transcript sets, and a detector that leans
on it has learned nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.tokens import WORD_START, TextTokenizer
from detectors.windows import Speaker, Window

FEATURE_NAMES: Final[tuple[str, ...]] = (
    *(f"share_{speaker.name.lower()}" for speaker in Speaker),
    "speaker_changes",
    "distinct_tokens",
    "word_continuations",
    "digits",
    "punctuation",
)
"""In the order of the columns. A bundle names the features it was trained with and is refused if they differ."""


class StructuralFeatures:
    """Features from token ids and pieces alone, each in [0, 1]."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        vocabulary = tokenizer.vocabulary
        bare = [token.removeprefix("##").lstrip(WORD_START) for token in vocabulary]
        self._continuation = np.asarray([not tokenizer.starts_word(token) for token in vocabulary])
        self._digits = np.asarray([token.isdigit() for token in bare])
        self._punctuation = np.asarray([len(token) == 1 and not token.isalnum() for token in bare])

    def __call__(self, windows: Sequence[Window]) -> NDArray[np.float32]:
        """Shape [windows, features]."""
        rows = [self._row(window) for window in windows]
        return np.asarray(rows, dtype=np.float32).reshape(len(windows), len(FEATURE_NAMES))

    def _row(self, window: Window) -> list[float]:
        placed = window.piece >= 0
        ids, pieces = window.input_ids[placed], window.piece[placed]
        total = max(1, len(ids))
        speakers = np.asarray([piece.speaker for piece in window.pieces])
        shares = np.bincount(speakers[pieces], minlength=len(Speaker)) / total if len(ids) else np.zeros(len(Speaker))
        return [
            *shares.tolist(),
            min(1.0, (len(speakers) - 1) / 8),
            len(np.unique(ids)) / total,
            float(self._continuation[ids].sum()) / total,
            float(self._digits[ids].sum()) / total,
            float(self._punctuation[ids].sum()) / total,
        ]
