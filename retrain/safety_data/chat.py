"""Conversations as chat templates take them: `{role, content, tool_calls?, tool_call_id?, name?, reasoning_content?}`.

Roles are system, user, assistant and tool. Arguments of tool calls are objects. Messages of the agent with nothing
between them are one: many templates refuse two in a row. What cannot be read as text is named in brackets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic import JsonValue

from detectors.transcript import (
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UnknownPart,
)
from retrain.safety_data.judged import AGENT

ChatMessage = dict[str, Any]

_ROLES: Final = {
    **dict.fromkeys(AGENT, "assistant"),
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
"""Everybody else is taken for a user."""
_BETWEEN: Final = "\n\n"


def chat(messages: Sequence[Message], *, with_reasoning: bool) -> list[ChatMessage]:
    """The conversation. Reasoning is left out unless asked for."""
    return placed_chat(messages, with_reasoning=with_reasoning)[0]


def placed_chat(messages: Sequence[Message], *, with_reasoning: bool) -> tuple[list[ChatMessage], list[int | None]]:
    """The conversation, and for each of `messages` the index of where it is in it; None: it said nothing."""
    made: list[ChatMessage] = []
    places: list[int | None] = []
    tools: dict[str, str] = {}
    for message in messages:
        before = len(made)
        for each in _parts(message, tools, with_reasoning=with_reasoning):
            if made and each["role"] == made[-1]["role"] == "assistant":
                made[-1] = _joined(made[-1], each)
                before = len(made) - 1
            else:
                made.append(each)
        said = len(made) > before
        places.append(before if said else None)
    return made, places


def assistant(text: str) -> ChatMessage:
    return {"role": "assistant", "content": text}


def text_of(messages: Sequence[ChatMessage]) -> str:
    """What is said in them."""
    return _BETWEEN.join(message["content"] for message in messages if message["content"])


def _parts(message: Message, tools: dict[str, str], *, with_reasoning: bool) -> Iterator[ChatMessage]:
    role = _ROLES.get(message.role.lower(), "user")
    for part in message.parts:
        if isinstance(part, ToolCallResponsePart):
            yield _response(part, tools)
    content = _BETWEEN.join(text for part in message.parts if (text := _text(part)))
    calls = [_call(part, tools) for part in message.parts if isinstance(part, ToolCallPart)]
    thoughts = _BETWEEN.join(part.content for part in message.parts if isinstance(part, ReasoningPart))
    said: ChatMessage = {"role": role, "content": content}
    if calls:
        said["tool_calls"] = calls
    if with_reasoning and thoughts:
        said["reasoning_content"] = thoughts
    if content or len(said) > 2:
        yield said


def _text(part: object) -> str | None:
    match part:
        case TextPart():
            return part.content
        case UnknownPart():
            return f"[{part.type}]"
    return None


def _call(part: ToolCallPart, tools: dict[str, str]) -> ChatMessage:
    if part.id is not None:
        tools[part.id] = part.name
    named: ChatMessage = {} if part.id is None else {"id": part.id}
    return {**named, "type": "function", "function": {"name": part.name, "arguments": _arguments(part.arguments)}}


def _arguments(value: JsonValue) -> JsonValue:
    """An object, for templates that go through its keys; what is none becomes one."""
    if isinstance(value, dict):
        return value
    return {} if value is None or value == "" else {"arguments": value}


def _response(part: ToolCallResponsePart, tools: dict[str, str]) -> ChatMessage:
    value = part.response
    said = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    answer: ChatMessage = {"role": "tool", "content": said}
    if part.id is not None:
        answer["tool_call_id"] = part.id
        if part.id in tools:
            answer["name"] = tools[part.id]
    return answer


def _joined(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    joined = {**first, "content": _BETWEEN.join(text for text in (first["content"], second["content"]) if text)}
    if calls := [*first.get("tool_calls", ()), *second.get("tool_calls", ())]:
        joined["tool_calls"] = calls
    if thoughts := [each["reasoning_content"] for each in (first, second) if "reasoning_content" in each]:
        joined["reasoning_content"] = _BETWEEN.join(thoughts)
    return joined
