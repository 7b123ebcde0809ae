"""Masking what recognisers find, character for character: every offset into the original stays valid.

Double quotes, line breaks and JSON's escapes are never masked in part, and the former two not at all: a masked value
inside a JSON string leaves JSON that still parses. A bare number that is masked, `{"card": 4111…}`, does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from pydantic import Field

from detectors.transcript import Frozen
from services.privacy.errors import RecogniserError
from services.privacy.legible import Legible, legible

MASK: Final = "\u2588"
_MOST_ROUNDS: Final = 8
"""What masking lays bare (a number beside a masked one) is masked in the next round; more than two are rare."""

MAX_NAME_CHARS: Final = 256
_NAME_CHARS_READ: Final = 1024
_NAMES_REMEMBERED: Final = 2048

# Spared: quotes and line breaks with their backslashes, short escapes, and backslashes that the span cuts off.
_PIECE: Final = re.compile(r"(?P<spared>\\*+[\"\r\n]|\\++[bfnrt/]|\\++\Z)|\\++u[0-9a-fA-F]{4}|\\++|[^\\\"\r\n]+")
_HEAD: Final = re.compile(r"\\+")


class Recogniser(Protocol):
    """Finds one kind of private data.

    `text` is made legible (see `services.privacy.legible`); `find` gives (start, end) in it, in any order, and takes a
    time that grows with the length of `text` and no faster, whatever the text: it was written by others.
    """

    @property
    def kind(self) -> str: ...

    def find(self, text: str) -> Iterable[tuple[int, int]]: ...


class Redaction(Frozen):
    """Characters `start` to `end` that were masked, and what they were taken for."""

    kind: str
    start: int = Field(ge=0)
    end: int = Field(ge=1)


@dataclass(frozen=True, slots=True)
class Redacted:
    """`text` is as long as the original, and the same outside of `spans` (in order, without overlap)."""

    text: str
    spans: tuple[Redaction, ...] = ()


class Redactor:
    """Redaction with the recognisers of this installation."""

    def __init__(self, recognisers: Sequence[Recogniser]) -> None:
        self.recognisers = tuple(recognisers)
        self.name: Callable[[str], str] = lru_cache(maxsize=_NAMES_REMEMBERED)(self._name)

    def redact(self, text: str) -> Redacted:
        return redact(text, self.recognisers)

    def _name(self, text: str) -> str:
        """A role, an id or the name of a tool: redacted, at most 256 characters. There are few, and they come often."""
        return self.redact(text[:_NAME_CHARS_READ]).text[:MAX_NAME_CHARS]


def redact(text: str, recognisers: Sequence[Recogniser]) -> Redacted:
    """`text` with all that is found masked. What overlaps is one span, of the kind of the longest.

    Redacting the outcome again changes nothing. Raises `RecogniserError`.
    """
    spans: list[Redaction] = []
    masked = text
    for _ in range(_MOST_ROUNDS):
        found = [span for span in _found(masked, recognisers) if _mask(masked, span) != masked[span.start : span.end]]
        if not found:
            break
        masked = _masked(masked, _merged(found))
        spans += found
    return Redacted(masked, tuple(_merged(spans)))


def _found(text: str, recognisers: Sequence[Recogniser]) -> Iterator[Redaction]:
    read = legible(text)
    for recogniser in recognisers:
        for start, end in _finds(recogniser, read):
            if start < end:
                first, last = read.original(start, end)
                yield Redaction(kind=recogniser.kind, start=first, end=last)


def _finds(recogniser: Recogniser, read: Legible) -> list[tuple[int, int]]:
    """What it finds, checked. What went wrong inside is not told: its words may quote the text."""
    try:
        finds = [(int(start), int(end)) for start, end in recogniser.find(read.text)]
    except Exception as error:
        raise RecogniserError(f"recogniser {recogniser.kind!r} failed with {type(error).__name__}") from None
    if any(not 0 <= start <= end <= len(read.text) for start, end in finds):
        raise RecogniserError(f"recogniser {recogniser.kind!r} points outside of its text")
    return finds


def _merged(spans: Iterable[Redaction]) -> list[Redaction]:
    merged: list[Redaction] = []
    longest = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        length = span.end - span.start
        if not merged or span.start >= merged[-1].end:
            merged.append(span)
            longest = length
            continue
        last = merged.pop()
        kind = span.kind if length > longest else last.kind
        longest = max(longest, length)
        merged.append(Redaction(kind=kind, start=last.start, end=max(last.end, span.end)))
    return merged


def _masked(text: str, spans: Sequence[Redaction]) -> str:
    pieces: list[str] = []
    done = 0
    for span in spans:
        pieces += text[done : span.start], _mask(text, span)
        done = span.end
    return "".join([*pieces, text[done:]])


def _mask(text: str, span: Redaction) -> str:
    """The span's characters, masked where they may be."""
    start = span.start
    if text[start - 1 : start] == "\\" and (cut := _HEAD.match(text, start, span.end)):
        start = cut.end()
    return text[span.start : start] + _PIECE.sub(_mask_piece, text[start : span.end])


def _mask_piece(piece: re.Match[str]) -> str:
    return piece.group() if piece["spared"] is not None else MASK * len(piece.group())
