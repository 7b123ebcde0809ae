"""Which characters of the conversation spoke for a label.

Both classifiers of a bundle are additive over tokens behind their last layer: a window's logit is a constant plus the
sum of its tokens' contributions. Evidence is the tokens with the largest ones, joined into whole words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.transcript import Message, part_text
from detectors.verdict import Evidence
from detectors.windows import Piece, Window

TOP_TOKENS: Final = 12
MAX_SPANS: Final = 3
_MAX_GAP: Final = 2  # characters between two spans that are shown as one
_LONGEST_WORD: Final = 64
_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class TopTokens:
    """Per window and label the tokens that contribute most: indices and contributions, both [windows, k, labels]."""

    tokens: NDArray[np.int16]
    weights: NDArray[np.float32]


def top_tokens(contributions: NDArray[np.float32], placeable: NDArray[np.bool_]) -> TopTokens:
    """The `TOP_TOKENS` largest contributions among tokens that come from a message, largest first.

    `contributions` [windows, tokens, labels]; `placeable` [windows, tokens] is False for tags, specials and padding,
    which cannot be pointed at: their weight is -inf here.
    """
    masked = np.where(placeable[:, :, None], contributions, -np.inf)
    k = min(TOP_TOKENS, masked.shape[1])
    tokens = np.argpartition(-masked, k - 1, axis=1)[:, :k]
    weights = np.take_along_axis(masked, tokens, axis=1)
    order = np.argsort(-weights, axis=1, kind="stable")
    return TopTokens(
        np.take_along_axis(tokens, order, axis=1).astype(np.int16),
        np.take_along_axis(weights, order, axis=1).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class _Span:
    message_index: int
    part_index: int
    message_id: str
    start: int
    end: int
    weight: float


def evidence(
    window: Window,
    tokens: NDArray[np.int16],
    weights: NDArray[np.float32],
    *,
    category: str,
    messages: Sequence[Message],
    first_message: int,
) -> list[Evidence]:
    """At most `MAX_SPANS` spans of `window` for one label, strongest first; `tokens` and `weights` are [k], sorted.

    Whole words, neighbours joined. At least one span, even where no token speaks for the label by itself.
    """
    spans: list[_Span] = []
    texts: dict[Piece, str] = {}  # writing a large structure as JSON once is enough
    for token, weight in zip(tokens.tolist(), weights.tolist(), strict=True):
        if np.isfinite(weight) and (weight > 0 or not spans):
            piece = window.pieces[window.piece[token]]
            if piece not in texts:
                texts[piece] = part_text(messages[piece.message_index].parts[piece.part_index]) or ""
            start, end = _word_around(texts[piece], int(window.start[token]), int(window.end[token]))
            found = _Span(piece.message_index, piece.part_index, piece.message_id, start, end, weight)
            spans = _join(spans, found)
    strongest = sorted(spans, key=lambda span: -span.weight)[:MAX_SPANS]
    return [
        Evidence(
            message_id=span.message_id,
            message_index=first_message + span.message_index,
            part_index=span.part_index,
            start=span.start,
            end=span.end,
            category=category,
            weight=round(span.weight, 4),
        )
        for span in strongest
    ]


def _word_around(text: str, start: int, end: int) -> tuple[int, int]:
    """The whole words that the characters from `start` to `end` belong to; of very long ones the part nearby."""
    for word in _WORD.finditer(text, max(0, start - _LONGEST_WORD), end + _LONGEST_WORD):
        if word.start() < end and word.end() > start:
            start, end = min(start, word.start()), max(end, word.end())
    return start, end


def _join(spans: list[_Span], new: _Span) -> list[_Span]:
    apart = []
    for span in spans:
        same_part = (span.message_index, span.part_index) == (new.message_index, new.part_index)
        if same_part and span.start <= new.end + _MAX_GAP and new.start <= span.end + _MAX_GAP:
            start, end = min(span.start, new.start), max(span.end, new.end)
            new = _Span(span.message_index, span.part_index, span.message_id, start, end, span.weight + new.weight)
        else:
            apart.append(span)
    return [*apart, new]
