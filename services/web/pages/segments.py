"""A text cut where evidence, masks and what is left out begin and end: pieces that do not overlap, and nothing lost."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from services.web.pages.visible import Piece, pieces


class Span(Protocol):
    """Characters `start` to `end` of a text."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Masked(Span, Protocol):
    """Characters that were masked, and what they were taken for."""

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Range:
    """Characters `start` to `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a text all of whose characters are alike.

    `evidence` are places in the sequence of evidence that was given; `begins`, those that begin here. `redaction`: the
    kind of what is masked here; `masks`: the mask begins here. `left_out`: not to be shown.
    """

    start: int
    text: str
    evidence: tuple[int, ...] = ()
    begins: tuple[int, ...] = ()
    redaction: str | None = None
    masks: bool = False
    left_out: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def pieces(self) -> list[Piece]:
        return pieces(self.text, self.start)


def segments(
    text: str, evidence: Sequence[Span], redactions: Sequence[Masked], shown: Sequence[Range] | None = None
) -> list[Segment]:
    """`text` in order and without a gap. `shown`: disjoint, in order; None: all of it. Spans beyond the text's end are
    cut, empty ones left out, and of redactions that overlap the first counts."""
    whole = (Range(0, len(text)),) if shown is None else shown
    masks = _apart(redactions, len(text))
    found: list[Segment] = []
    begun: set[int] = set()
    done = 0
    for part in whole:
        if part.start > done:
            found.append(Segment(done, text[done : part.start], left_out=True))
        found += _within(text, part, evidence, masks, begun)
        done = part.end
    if done < len(text):
        found.append(Segment(done, text[done:], left_out=True))
    return found


def _apart(redactions: Sequence[Masked], length: int) -> list[Masked]:
    kept: list[Masked] = []
    for each in sorted(redactions, key=lambda redaction: redaction.start):
        if each.start < min(each.end, length) and (not kept or each.start >= kept[-1].end):
            kept.append(each)
    return kept


def _within(
    text: str, part: Range, evidence: Sequence[Span], masks: Sequence[Masked], begun: set[int]
) -> Iterator[Segment]:
    """Evidence that begins where nothing is shown begins with what is shown of it."""
    starts = [mask.start for mask in masks]
    for start, end in pairwise(_cuts(part, [*evidence, *masks])):
        covering = tuple(index for index, span in enumerate(evidence) if span.start <= start and end <= span.end)
        begins = tuple(index for index in covering if index not in begun)
        begun.update(begins)
        at = bisect_right(starts, start) - 1
        mask = masks[at] if at >= 0 and start < masks[at].end else None
        kind = mask.kind if mask else None
        new = mask is not None and max(mask.start, part.start) == start
        yield Segment(start, text[start:end], covering, begins, redaction=kind, masks=new)


def _cuts(part: Range, spans: Sequence[Span]) -> list[int]:
    inside = {end for span in spans for end in (span.start, span.end) if part.start < end < part.end}
    return sorted(inside | {part.start, part.end})
