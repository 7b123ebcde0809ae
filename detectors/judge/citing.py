"""Finds in a conversation what a judge quotes from it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from detectors.judge.verdict import Citation
from detectors.taxonomy import Category
from detectors.transcript import Message, part_text

_MIN_CHARS: Final = 3
"""Shorter quotes are in every text."""

_NOT_COPIED: Final = re.compile(r'(?P<gap>(?:\s|\\[nrt])+)|\\(?=")')
"""What models do not copy faithfully: white space, also as JSON writes it, and the backslash of a quotation mark."""


def locate(
    quote: str, *, number: int, category: Category, messages: Sequence[Message], first_message: int
) -> Citation | None:
    """Where message `number` of the conversation says `quote`; None if there is no such message or it does not.

    White space and the escaping of quotation marks may differ, nothing else. Takes time linear in the message.
    """
    index = number - first_message
    wanted = _Plain.of(quote.strip()).text.strip()
    if not 0 <= index < len(messages) or len(wanted) < _MIN_CHARS:
        return None
    for part_index, part in enumerate(messages[index].parts):
        plain = _Plain.of(part_text(part) or "")
        at = plain.text.find(wanted)
        if at >= 0:
            return Citation(
                message_id=messages[index].id,
                message_index=number,
                part_index=part_index,
                start=plain.original(at),
                end=plain.original(at + len(wanted) - 1) + 1,
                category=category.value,
            )
    return None


@dataclass(frozen=True, slots=True)
class _Plain:
    """A text with its gaps as single spaces; `runs` of it are as they were, from these places of the original on."""

    text: str
    runs: tuple[int, ...]
    originals: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> _Plain:
        pieces: list[str] = []
        runs, originals = [0], [0]
        length = 0
        for match in _NOT_COPIED.finditer(text):
            pieces.append(text[originals[-1] : match.start()] + (" " if match["gap"] else ""))
            length += len(pieces[-1])
            runs.append(length)
            originals.append(match.end())
        pieces.append(text[originals[-1] :])
        return cls("".join(pieces), tuple(runs), tuple(originals))

    def original(self, position: int) -> int:
        """Where the character at `position`, which is no gap, stands in the original."""
        run = bisect_right(self.runs, position) - 1
        return self.originals[run] + position - self.runs[run]
