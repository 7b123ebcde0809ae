"""How much of a long text, and how much of a long conversation, is shown at first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from services.web.pages.segments import Range, Span

_MOST_CHARACTERS: Final = 3_000
_HEAD: Final = 1_500
_AROUND: Final = 300
_MOST_EXCERPTS: Final = 12
_NOT_WORTH_A_GAP: Final = 200

FIRST_MESSAGES: Final = 30
_MESSAGES_AROUND: Final = 6
_MOST_MESSAGES: Final = 60
_MESSAGES_NOT_WORTH_A_GAP: Final = 3


def excerpts(length: int, spans: Sequence[Span]) -> tuple[Range, ...]:
    """What is shown of a text of `length` characters: all of a short one; of a long one its beginning, and the
    surroundings of the first spans. In order, disjoint."""
    if length <= _MOST_CHARACTERS:
        return (Range(0, length),)
    wanted = [Range(0, _HEAD)]
    there = sorted((span for span in spans if span.start < min(span.end, length)), key=lambda span: span.start)
    for span in there[:_MOST_EXCERPTS]:
        end = min(span.end, span.start + _MOST_CHARACTERS)
        wanted.append(Range(max(0, span.start - _AROUND), min(length, end + _AROUND)))
    return _joined(wanted, _NOT_WORTH_A_GAP, length)


def windows(last: int, places: Iterable[int]) -> tuple[Range, ...]:
    """Which messages of those from 0 to `last` are shown: the beginning, or the surroundings of `places`, the most
    important first, as far as there is room. In order, disjoint; never empty."""
    wanted: list[Range] = []
    count = 0
    for place in places:
        if any(part.start <= place < part.end for part in wanted) or not 0 <= place <= last:
            continue
        part = Range(max(0, place - _MESSAGES_AROUND), min(last + 1, place + _MESSAGES_AROUND + 1))
        count += part.end - part.start
        if wanted and count > _MOST_MESSAGES:
            break
        wanted.append(part)
    if not wanted:
        return (Range(0, min(last + 1, FIRST_MESSAGES)),)
    return _joined(wanted, _MESSAGES_NOT_WORTH_A_GAP, last + 1)


def _joined(wanted: Sequence[Range], slack: int, end: int) -> tuple[Range, ...]:
    """Ranges that touch, or nearly so, are one. What remains at the end is shown if it is little."""
    joined: list[Range] = []
    for part in sorted(wanted, key=lambda each: (each.start, each.end)):
        if joined and part.start <= joined[-1].end + slack:
            joined[-1] = Range(joined[-1].start, max(joined[-1].end, part.end))
        else:
            joined.append(part)
    if joined[0].start <= slack:
        joined[0] = Range(0, joined[0].end)
    if end - joined[-1].end <= slack:
        joined[-1] = Range(joined[-1].start, end)
    return tuple(joined)
