"""A conversation under attack: messages, each with the position that it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from detectors.transcript import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    TranscriptEvent,
    message_id,
)

AGENT_ROLE = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """A message as it stands now. `origin`: its position before the attack, None where the attack added it."""

    role: str
    parts: tuple[Part, ...]
    origin: int | None = None

    @property
    def of_agent(self) -> bool:
        return self.role == AGENT_ROLE


Turns = tuple[Turn, ...]
Words = Callable[[str], str]


def turns_of(event: TranscriptEvent) -> Turns:
    """The messages of `event`, nothing changed yet."""
    return tuple(Turn(message.role, message.parts, origin) for origin, message in enumerate(event.messages))


def event_of(event: TranscriptEvent, turns: Sequence[Turn]) -> TranscriptEvent:
    """`event` with these messages instead of its own; message ids are those of the new content and places."""
    messages = tuple(
        Message(
            id=message_id(event.first_message + place, turn.role, turn.parts),
            role=turn.role,
            parts=turn.parts,
            name=None if turn.origin is None else event.messages[turn.origin].name,
        )
        for place, turn in enumerate(turns)
    )
    return event.model_copy(update={"messages": messages})


def reworded(turns: Turns, words: Words) -> Turns:
    """What the agent says, thinks and passes to tools, each text through `words`; names of tools and keys stay."""
    return _agents_parts(turns, lambda part: _reworded(part, words))


def respoken(turns: Turns, words: Words) -> Turns:
    """What the agent says and thinks, each text through `words`; what it passes to tools stays."""

    def changed(part: Part) -> Part:
        return _reworded(part, words) if isinstance(part, TextPart | ReasoningPart) else part

    return _agents_parts(turns, changed)


def with_arguments(turns: Turns, change: Callable[[JsonValue], JsonValue]) -> Turns:
    """The arguments of the agent's tool calls through `change`."""

    def changed(part: Part) -> Part:
        return part.model_copy(update={"arguments": change(part.arguments)}) if isinstance(part, ToolCallPart) else part

    return _agents_parts(turns, changed)


def agents_texts(turns: Sequence[Turn]) -> Iterator[str]:
    """Every text of the agent's, strings within the arguments of tool calls included, in order."""
    for turn in turns:
        for part in turn.parts if turn.of_agent else ():
            match part:
                case TextPart() | ReasoningPart():
                    yield part.content
                case ToolCallPart():
                    yield from _strings(part.arguments)


def _agents_parts(turns: Turns, change: Callable[[Part], Part]) -> Turns:
    return tuple(
        Turn(turn.role, tuple(map(change, turn.parts)), turn.origin) if turn.of_agent else turn for turn in turns
    )


def _reworded(part: Part, words: Words) -> Part:
    match part:
        case TextPart() | ReasoningPart():
            return part.model_copy(update={"content": words(part.content)})
        case ToolCallPart():
            return part.model_copy(update={"arguments": _reworded_value(part.arguments, words)})
        case _:
            return part


def _reworded_value(value: JsonValue, words: Words) -> JsonValue:
    match value:
        case str():
            return words(value)
        case list():
            return [_reworded_value(each, words) for each in value]
        case dict():
            return {key: _reworded_value(each, words) for key, each in value.items()}
        case _:
            return value


def _strings(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _strings(each)
        case dict():
            for each in value.values():
                yield from _strings(each)
