"""Windows: token-bounded slices of a conversation that remember where every token came from.

The parts of a conversation are laid end to end, each behind a tag that says who speaks (`assistant:`,
`tool call send_mail:`). What the agent says, thinks and does is there in full; of what others say only the beginning
and the end, as context. A window takes as much as fits; a part that is split continues in the next window behind the
same tag, with some overlap, so that nothing is lost at a boundary. Windows without a word of the agent are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.tokens import TextTokenizer, TokenizedText
from detectors.transcript import (
    Message,
    Part,
    ReasoningPart,
    ToolCallPart,
    ToolCallResponsePart,
    UnknownPart,
    part_text,
)

MAX_TAG_TOKENS: Final = 16
MIN_PIECE_TOKENS: Final = 8
_CHARS_PER_WINDOW: Final = 1_100
"""What 256 tokens of English take (about 4.3 characters each): bounds what is tokenised of an absurdly long event."""


class Speaker(IntEnum):
    """Who a piece of a window comes from."""

    SYSTEM = 0
    USER = 1
    ASSISTANT = 2
    REASONING = 3
    TOOL_CALL = 4
    TOOL_RESPONSE = 5
    OTHER = 6


AGENT: Final = frozenset({Speaker.ASSISTANT, Speaker.REASONING, Speaker.TOOL_CALL, Speaker.OTHER})
"""Whose words are judged. A role that nobody knows may be the agent's."""

_TAGS: Final = {
    Speaker.SYSTEM: "system:",
    Speaker.USER: "user:",
    Speaker.ASSISTANT: "assistant:",
    Speaker.REASONING: "reasoning:",
    Speaker.TOOL_RESPONSE: "tool result:",
    Speaker.OTHER: "other:",
}
_ROLES: Final = {
    "system": Speaker.SYSTEM,
    "developer": Speaker.SYSTEM,
    "user": Speaker.USER,
    "human": Speaker.USER,
    "assistant": Speaker.ASSISTANT,
    "model": Speaker.ASSISTANT,
    "ai": Speaker.ASSISTANT,
    "tool": Speaker.TOOL_RESPONSE,
    "function": Speaker.TOOL_RESPONSE,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of a message that some tokens of a window come from. `message_index` counts in the event."""

    message_id: str
    message_index: int
    part_index: int
    speaker: Speaker


@dataclass(frozen=True, slots=True)
class Window:
    """Token ids with [CLS] and [SEP], [tokens]; for each token its piece (-1: a tag or special) and characters."""

    input_ids: NDArray[np.int32]
    piece: NDArray[np.int16]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    pieces: tuple[Piece, ...]

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def of_agent(self) -> NDArray[np.bool_]:
        """[tokens]: which tokens are the agent's own. Tags are nobody's."""
        agents = np.asarray([*(piece.speaker in AGENT for piece in self.pieces), False])
        return np.asarray(agents[self.piece])


@dataclass(frozen=True, slots=True)
class Windows:
    """A conversation's windows, and what of it they leave out."""

    windows: tuple[Window, ...]
    truncated: bool
    """The event was longer than `max_windows` allows: its middle is not in the windows."""
    unreadable_parts: int


@dataclass(frozen=True, slots=True)
class _Segment:
    piece: Piece
    tag: str
    text: str
    base: int  # character offset of `text` in the part


def max_overlap(max_tokens: int) -> int:
    """The most that windows of `max_tokens` may overlap: half of what they hold behind the longest tag."""
    return (max_tokens - 2 - MAX_TAG_TOKENS) // 2


class Windower:
    """Cuts messages into windows of at most `max_tokens` tokens, at most `max_windows` of them (beginning and end).

    Of a part by anyone but the agent at most `context_chars` characters are kept: two thirds from its beginning.
    """

    def __init__(
        self, tokenizer: TextTokenizer, *, max_tokens: int, overlap: int, max_windows: int, context_chars: int
    ) -> None:
        if not 0 <= overlap <= max_overlap(max_tokens):
            raise ValueError(f"overlap {overlap} does not fit windows of {max_tokens} tokens")
        if max_windows < 1:
            raise ValueError("max_windows must be at least 1")
        self._tokenizer = tokenizer
        self._capacity = max_tokens - 2
        self._overlap = overlap
        self.max_windows = max_windows
        self._context_chars = context_chars
        self._tags: dict[str, NDArray[np.int32]] = {}

    def cut(self, messages: Sequence[Message]) -> Windows:
        """The windows of `messages`. Every character of the agent's readable parts is in one, unless `truncated`."""
        segments = [
            kept
            for index, message in enumerate(messages)
            for segment in _segments(index, message)
            for kept in self._clipped(segment)
        ]
        kept = _head_and_tail(segments, self.max_windows * _CHARS_PER_WINDOW)
        windows = [window for window in self._pack(kept) if window.of_agent.any()]
        truncated = kept is not segments or len(windows) > self.max_windows
        if len(windows) > self.max_windows:
            head = (self.max_windows + 1) // 2
            windows = windows[:head] + windows[len(windows) - (self.max_windows - head) :]
        unreadable = sum(isinstance(part, UnknownPart) for message in messages for part in message.parts)
        return Windows(tuple(windows), truncated, unreadable)

    def _clipped(self, segment: _Segment) -> Iterator[_Segment]:
        """`segment`, or of a long one that is not the agent's its beginning and its end."""
        if segment.piece.speaker in AGENT or len(segment.text) <= self._context_chars:
            yield segment
            return
        head = self._context_chars * 2 // 3
        tail = len(segment.text) - (self._context_chars - head)
        yield _Segment(segment.piece, segment.tag, segment.text[:head], segment.base)
        yield _Segment(segment.piece, segment.tag, segment.text[tail:], segment.base + tail)

    def _pack(self, segments: Sequence[_Segment]) -> Iterator[Window]:
        filling = _Filling(self._tokenizer.cls_id, self._tokenizer.sep_id, self._capacity)
        tokenized = self._tokenizer.tokenize([segment.text for segment in segments])
        for segment, tokens in zip(segments, tokenized, strict=True):
            tag = self._tag(segment.tag)
            taken = 0
            while taken < len(tokens.ids):
                wanted = min(MIN_PIECE_TOKENS, len(tokens.ids) - taken)
                if filling.room < len(tag) + wanted:
                    yield filling.close()
                    taken = max(0, taken - self._overlap) if taken else 0
                taken = filling.add(segment, tag, tokens, taken)
        if filling.used:
            yield filling.close()

    def _tag(self, tag: str) -> NDArray[np.int32]:
        found = self._tags.get(tag)
        if found is None:  # several threads may cut: what is found stays found, whoever clears meanwhile
            if len(self._tags) > 10_000:  # tool names are the senders' to choose
                self._tags.clear()
            self._tags[tag] = found = self._tokenizer.plain(tag)[:MAX_TAG_TOKENS]
        return found


class _Filling:
    """The window being filled. [CLS] is there from the start; `used` counts what comes behind it."""

    def __init__(self, cls_id: int, sep_id: int, capacity: int) -> None:
        self._sep_id = sep_id
        self._capacity = capacity
        self._ids = np.full(capacity + 2, cls_id, dtype=np.int32)
        self._piece = np.empty(capacity + 2, dtype=np.int16)
        self._start = np.empty(capacity + 2, dtype=np.int32)
        self._end = np.empty(capacity + 2, dtype=np.int32)
        self._clear()

    def _clear(self) -> None:
        self.used = 0
        self._pieces: list[Piece] = []
        self._piece.fill(-1)
        self._start.fill(0)
        self._end.fill(0)

    @property
    def room(self) -> int:
        return self._capacity - self.used

    def add(self, segment: _Segment, tag: NDArray[np.int32], tokens: TokenizedText, first: int) -> int:
        """Takes the tag and as many tokens from `first` on as fit; returns the first token not taken."""
        last = min(len(tokens.ids), first + self.room - len(tag))
        begin = 1 + self.used + len(tag)
        end = begin + last - first
        self._ids[begin - len(tag) : begin] = tag
        self._ids[begin:end] = tokens.ids[first:last]
        self._piece[begin:end] = len(self._pieces)
        np.add(tokens.start[first:last], segment.base, out=self._start[begin:end])
        np.add(tokens.end[first:last], segment.base, out=self._end[begin:end])
        self._pieces.append(segment.piece)
        self.used = end - 1
        return last

    def close(self) -> Window:
        length = self.used + 2
        self._ids[length - 1] = self._sep_id
        window = Window(
            self._ids[:length].copy(),
            self._piece[:length].copy(),
            self._start[:length].copy(),
            self._end[:length].copy(),
            tuple(self._pieces),
        )
        self._clear()
        return window


def _segments(message_index: int, message: Message) -> Iterator[_Segment]:
    for part_index, part in enumerate(message.parts):
        text = part_text(part)
        if text:
            speaker = _speaker(message.role, part)
            tag = f"tool call {part.name[:64]}:" if isinstance(part, ToolCallPart) else _TAGS[speaker]
            yield _Segment(Piece(message.id, message_index, part_index, speaker), tag, text, 0)


def _speaker(role: str, part: Part) -> Speaker:
    match part:
        case ReasoningPart():
            return Speaker.REASONING
        case ToolCallPart():
            return Speaker.TOOL_CALL
        case ToolCallResponsePart():
            return Speaker.TOOL_RESPONSE
        case _:
            return _ROLES.get(role.lower(), Speaker.OTHER)


def _head_and_tail(segments: list[_Segment], max_chars: int) -> list[_Segment]:
    """The same list where it is short enough; else the segments, cut, that cover its first and last characters."""
    if sum(len(segment.text) for segment in segments) <= max_chars:
        return segments
    head = _up_to(segments, max_chars // 2, from_end=False)
    tail = _up_to(segments[::-1], max_chars - max_chars // 2, from_end=True)
    return head + tail[::-1]


def _up_to(segments: Sequence[_Segment], chars: int, *, from_end: bool) -> list[_Segment]:
    taken: list[_Segment] = []
    for segment in segments:
        if chars <= 0:
            break
        skip = max(0, len(segment.text) - chars)
        text, base = (segment.text[skip:], segment.base + skip) if from_end else (segment.text[:chars], segment.base)
        taken.append(_Segment(segment.piece, segment.tag, text, base))
        chars -= len(segment.text)
    return taken
