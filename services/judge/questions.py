"""Questions that wait for their boundary."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from detectors.judge import (
    BoundaryInData,
    Excerpt,
    Extract,
    Request,
    TooManyExtracts,
    evaluation_request,
    extracts_request,
)
from services.judge.errors import NOTHING, OverBudget

_BOUNDARY_BITS: Final = 128


class Question(Protocol):
    """A request but for its boundary, as the functions of `detectors.judge` make them."""

    def __call__(self, *, boundary: str) -> Request: ...


def evaluation_of(chunks: Sequence[Sequence[Excerpt]], extracts: Sequence[Extract], max_chars: int) -> Question:
    """About the conversation itself where it is one chunk, else about what was extracted from its chunks."""
    if len(chunks) == 1:
        return partial(evaluation_request, chunks[0])
    return partial(extracts_request, extracts, max_chars=max_chars)


def fenced(question: Question, rng: random.Random) -> Request:
    """Behind a new boundary for each request: nobody could have written it into the text before it was drawn.

    Raises `OverBudget` for more extracts than there is room for.
    """
    while True:
        try:
            return question(boundary=f"{rng.getrandbits(_BOUNDARY_BITS):032x}")
        except BoundaryInData:
            continue
        except TooManyExtracts:
            raise OverBudget("more extracts than PLUMBLINE_JUDGE_MAX_CHUNK_CHARS has room for", usage=NOTHING) from None
