"""A conversation as people read it: messages around what matters, and gaps that can be opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from services.privacy.stored import StoredMessage, StoredPart
from services.web.pages import marks as marking
from services.web.pages.clipping import excerpts
from services.web.pages.marks import Mark
from services.web.pages.segments import Segment, segments
from services.web.pages.visible import one_line, preview

_LINE: Final = 120
_QUOTE: Final = 240
_CONTEXT: Final = 60
_KINDS: Final = {"text": "text", "reasoning": "reasoning", "tool_call": "call", "tool_call_response": "result"}


class Side(StrEnum):
    """From which end of a gap the next messages come."""

    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages from `first` to `until`, which is not one of them; None: to the end of the conversation."""

    first: int
    until: int | None


@dataclass(frozen=True, slots=True)
class PartView:
    """A part. `name`: of the tool, or of a type that cannot be read. `clipped`: not all of it is in `segments`."""

    index: int
    kind: str
    name: str | None
    preview: str
    segments: tuple[Segment, ...]
    marks: tuple[Mark, ...]
    clipped: bool
    length: int

    @property
    def folded(self) -> bool:
        return self.kind in ("reasoning", "call", "result") and not self.marks


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message. `masked`: something in it was masked before it was stored. `revealed`: it is shown unmasked."""

    position: int
    id: str
    role: str
    name: str | None
    parts: tuple[PartView, ...]
    masked: bool
    revealed: bool = False

    @property
    def clipped(self) -> bool:
        return any(part.clipped for part in self.parts)

    @property
    def marked(self) -> bool:
        return any(part.marks for part in self.parts)


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of evidence in its sentence."""

    mark: Mark
    before: str
    words: str
    after: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What is shown of a conversation, in order."""

    items: tuple[MessageView | Gap, ...]
    quotes: tuple[Quote, ...] = field(default=())


def message_view(
    message: StoredMessage, marks: Sequence[Mark], *, whole: bool = False, revealed: bool = False
) -> MessageView:
    """`whole`: nothing is clipped. `revealed`: redactions do not hide anything."""
    return MessageView(
        position=message.position,
        id=message.id,
        role=message.role,
        name=message.name,
        parts=tuple(
            _part_view(part, index, marking.of_part(marks, message.position, message.id, index), whole, revealed)
            for index, part in enumerate(message.parts)
        ),
        masked=any(part.redactions for part in message.parts),
        revealed=revealed,
    )


def _part_view(part: StoredPart, index: int, marks: Sequence[Mark], whole: bool, revealed: bool) -> PartView:  # noqa: FBT001
    text = part.text or ""
    shown = None if whole else excerpts(len(text), marks)
    redactions = () if revealed else part.redactions
    kind = _KINDS.get(part.type, "text" if part.text is not None else "unknown")
    return PartView(
        index=index,
        kind=kind,
        name=part.name if kind == "call" else part.type if kind == "unknown" else None,
        preview=preview(text, most=_LINE),
        segments=tuple(segments(text, marks, redactions, shown)),
        marks=tuple(marks),
        clipped=shown is not None and sum(part.end - part.start for part in shown) < len(text),
        length=len(text),
    )


def quotes(messages: Iterable[StoredMessage], marks: Iterable[Mark]) -> Iterator[Quote]:
    """Of marks whose message is among `messages`, in the order of `marks`."""
    known = {message.position: message for message in messages}
    for mark in marks:
        message = known.get(mark.message_index)
        if message is None or message.id != mark.message_id or mark.part_index >= len(message.parts):
            continue
        text = message.parts[mark.part_index].text or ""
        words = text[mark.start : mark.end]
        if words:
            yield Quote(mark, _before(text, mark), preview(words, most=_QUOTE), _after(text, mark))


def _before(text: str, mark: Mark) -> str:
    cut = max(0, mark.start - _CONTEXT)
    return ("…" if cut else "") + one_line(text[cut : mark.start])


def _after(text: str, mark: Mark) -> str:
    return one_line(text[mark.end : mark.end + _CONTEXT]) + ("…" if mark.end + _CONTEXT < len(text) else "")
