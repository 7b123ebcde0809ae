"""Conversations cut into chunks that a judge can read in one request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from detectors.transcript import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    part_text,
)

MIN_CHUNK_CHARS: Final = 1_000
_OVERLAP_SHARE: Final = 20
_MAX_NAME_CHARS: Final = 64
_HEADER_CHARS: Final = 200
"""What the line above an excerpt takes at most: boundary, numbers, role and kind."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Characters `start` onwards of one part. `header` says whose they are; `whole` is the length of the part."""

    message_index: int
    part_index: int
    header: str
    start: int
    text: str
    whole: int

    @property
    def size(self) -> int:
        """Characters that it takes in a prompt, at most."""
        return len(self.text) + _HEADER_CHARS


def excerpts(messages: Sequence[Message], *, first_message: int) -> list[list[Excerpt]]:
    """One list for each message, an excerpt for each of its parts; a part that cannot be read has no characters."""
    return [list(_of(message, first_message + index)) for index, message in enumerate(messages)]


def readable(messages: Sequence[Message]) -> bool:
    """Whether there is anything to judge."""
    return any((part_text(part) or "").strip() for message in messages for part in message.parts)


def chunked(messages: Sequence[Message], *, first_message: int, max_chars: int) -> list[list[Excerpt]]:
    """All of `messages`, in chunks of at most `max_chars` characters (at least `MIN_CHUNK_CHARS`).

    Messages are kept whole where they fit. A longer one has chunks to itself, and its pieces overlap a little, so
    that nothing is lost where it is cut.
    """
    if max_chars < MIN_CHUNK_CHARS:
        raise ValueError(f"max_chars must be at least {MIN_CHUNK_CHARS}")
    chunks: list[list[Excerpt]] = []
    current: list[Excerpt] = []
    room = max_chars
    for message in excerpts(messages, first_message=first_message):
        whole = sum(excerpt.size for excerpt in message) <= max_chars
        units = [message] if whole else [[piece] for excerpt in message for piece in _pieces(excerpt, max_chars)]
        for unit in units:
            size = sum(excerpt.size for excerpt in unit)
            if current and size > room:
                chunks.append(current)
                current, room = [], max_chars
            current = [*current, *unit]
            room -= size
    return [*chunks, current] if current else chunks


def _of(message: Message, position: int) -> Iterator[Excerpt]:
    role = _quoted(message.role)
    for index, part in enumerate(message.parts):
        text = part_text(part) or ""
        yield Excerpt(position, index, f"{role} {_kind(part)}", 0, text, len(text))


def _pieces(excerpt: Excerpt, max_chars: int) -> Iterator[Excerpt]:
    length = max_chars - _HEADER_CHARS
    step = length - length // _OVERLAP_SHARE
    for start in range(0, max(1, len(excerpt.text)), step):
        text = excerpt.text[start : start + length]
        yield Excerpt(excerpt.message_index, excerpt.part_index, excerpt.header, start, text, excerpt.whole)
        if start + length >= len(excerpt.text):
            return


def _kind(part: Part) -> str:
    match part:
        case TextPart():
            return "text"
        case ReasoningPart():
            return "reasoning"
        case ToolCallPart():
            return f"calls tool {_quoted(part.name)}"
        case ToolCallResponsePart():
            return "tool result"
        case _:
            return "something that cannot be shown"


def _quoted(name: str) -> str:
    """On one line and in quotes: senders choose roles and names of tools."""
    return json.dumps(name[:_MAX_NAME_CHARS], ensure_ascii=False)
