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
        self._kinds = np.asarray(
            [
                [not tokenizer.starts_word(token) for token in vocabulary],
                [token.isdigit() for token in bare],
                [len(token) == 1 and not token.isalnum() for token in bare],
            ],
            dtype=np.float64,
        )

    def __call__(self, windows: Sequence[Window]) -> NDArray[np.float32]:
        """Shape [windows, features]."""
        count = len(windows)
        if not count:
            return np.empty((0, len(FEATURE_NAMES)), dtype=np.float32)
        # 1. All placed tokens end to end: which window, who speaks, which token.
        piece = np.concatenate([window.piece for window in windows])
        placed = piece >= 0
        row = np.repeat(np.arange(count), [len(window) for window in windows])[placed]
        ids = np.concatenate([window.input_ids for window in windows])[placed]
        pieces = np.asarray([len(window.pieces) for window in windows])
        speakers = np.asarray([piece.speaker for window in windows for piece in window.pieces], dtype=np.intp)
        speaker = speakers[piece[placed] + (np.cumsum(pieces) - pieces)[row]]
        # 2. Counts per window.
        by_speaker = np.bincount(row * len(Speaker) + speaker, minlength=count * len(Speaker))
        vocabulary = self._kinds.shape[1]
        tokens = np.sort(row * vocabulary + ids)
        distinct = np.bincount(tokens[np.diff(tokens, prepend=-1) > 0] // vocabulary, minlength=count)
        kinds = [np.bincount(row, weights=kind[ids], minlength=count) for kind in self._kinds]
        # 3. Shares.
        total = np.maximum(1, np.bincount(row, minlength=count))
        columns = [
            *(by_speaker.reshape(count, -1) / total[:, None]).T,
            np.minimum(1.0, (pieces - 1) / 8),
            *(each / total for each in (distinct, *kinds)),
        ]
        return np.column_stack(columns).astype(np.float32)
