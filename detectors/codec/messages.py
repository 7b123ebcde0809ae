"""Messages of many dialects, normalised to roles and typed parts.

Understood: OpenTelemetry GenAI (`parts`), OpenAI chat (`content`, `tool_calls`, `function_call`, `refusal`),
Anthropic (content blocks, `tool_use`, `tool_result`, `thinking`) and the plain form `{role, content, reasoning?,
tool_calls?}`. Parts come out in the order reasoning, text, tool calls where a dialect keeps these in separate fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from detectors.codec.json_bytes import parse_text
from detectors.errors import RecordError
from detectors.transcript import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UnknownPart,
    message_id,
)

MAX_MESSAGES: Final = 20_000
MAX_PARTS: Final = 20_000

_REASONING_FIELDS: Final = ("reasoning", "reasoning_content", "thinking")
_UNREADABLE_FIELDS: Final = ("reasoning_details", "audio", "images", "attachments")
_TEXT_TYPES: Final = frozenset({"text", "input_text", "output_text", "refusal"})
_REASONING_TYPES: Final = frozenset({"reasoning", "thinking"})
_CALL_TYPES: Final = frozenset({"tool_call", "tool_use", "function", "function_call"})
_RESPONSE_TYPES: Final = frozenset({"tool_call_response", "tool_result", "function_call_output"})


def normalise(raw: JsonValue, first_position: int = 0) -> tuple[Message, ...]:
    """Messages from a list of them (or its JSON string). Raises `RecordError("bad_messages")` naming the place."""
    raw = structure(raw)
    if not isinstance(raw, list):
        raise RecordError("bad_messages", f"messages: expected a list, got {_kind(raw)}")
    if len(raw) > MAX_MESSAGES:
        raise RecordError("bad_messages", f"messages: {len(raw)} of them, the limit is {MAX_MESSAGES}")
    messages = tuple(_message(item, index, first_position + index) for index, item in enumerate(raw))
    if (parts := sum(len(message.parts) for message in messages)) > MAX_PARTS:
        raise RecordError("bad_messages", f"messages: {parts} parts in all, the limit is {MAX_PARTS}")
    return messages


def structure(value: JsonValue) -> JsonValue:
    """A structure that came as a JSON string, parsed; anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return parse_text(value)
    except RecordError:
        return value


def _message(raw: JsonValue, index: int, position: int) -> Message:
    if not isinstance(raw, dict):
        raise RecordError("bad_messages", f"messages.{index}: expected an object, got {_kind(raw)}")
    role = raw.get("role")
    if not isinstance(role, str) or not role or len(role) > 64:
        raise RecordError("bad_messages", f"messages.{index}.role: expected a short text, got {_kind(role)}")
    try:
        parts = tuple(_parts(raw, role))
    except _Unreadable as error:
        raise RecordError("bad_messages", f"messages.{index}.{error.place}: {error.problem}") from None
    return Message(
        id=message_id(position, role, parts),
        role=role,
        parts=parts,
        name=_text_or_none(raw.get("name")),
        finish_reason=_text_or_none(raw.get("finish_reason")),
    )


class _Unreadable(Exception):
    def __init__(self, place: str, problem: str) -> None:
        super().__init__(problem)
        self.place = place
        self.problem = problem


def _parts(raw: Mapping[str, JsonValue], role: str) -> Iterator[Part]:
    if raw.get("parts"):
        yield from _listed_parts(raw["parts"], "parts")
    for field in _REASONING_FIELDS:
        reasoning = raw.get(field)
        if isinstance(reasoning, str) and reasoning:
            yield ReasoningPart(content=reasoning)
        elif reasoning:
            yield UnknownPart(type=field, data={"content": reasoning})
    yield from _content_parts(raw, role)
    if isinstance(refusal := raw.get("refusal"), str) and refusal:
        yield TextPart(content=refusal)
    calls = structure(raw.get("tool_calls"))
    if calls is not None and not isinstance(calls, list):
        raise _Unreadable("tool_calls", f"expected a list, got {_kind(calls)}")
    for index, call in enumerate(calls or []):
        yield _tool_call(_object(call, f"tool_calls.{index}"))
    call = structure(raw.get("function_call"))
    if isinstance(call, dict):
        yield _tool_call(call)
    for field in _UNREADABLE_FIELDS:  # kept, so that the verdict says that something was not read
        if raw.get(field):
            yield UnknownPart(type=field, data={"content": raw[field]})


def _content_parts(raw: Mapping[str, JsonValue], role: str) -> Iterator[Part]:
    content = raw.get("content")
    if content is None or content == "":
        return
    answers = raw.get("tool_call_id") is not None or role in ("tool", "function")
    if answers and not _is_block_list(content):
        yield ToolCallResponsePart(id=_text_or_none(raw.get("tool_call_id")), response=content)
    elif isinstance(content, str):
        yield TextPart(content=content)
    else:
        yield from _listed_parts(content, "content")


def _is_block_list(content: JsonValue) -> bool:
    return isinstance(content, list) and all(isinstance(item, dict) and "type" in item for item in content)


def _listed_parts(raw: JsonValue, place: str) -> Iterator[Part]:
    raw = structure(raw)
    if isinstance(raw, dict):
        raw = [raw]
    if not isinstance(raw, list):
        raise _Unreadable(place, f"expected a list of parts, got {_kind(raw)}")
    for index, item in enumerate(raw):
        if isinstance(item, str):
            yield TextPart(content=item)
        else:
            yield _part(_object(item, f"{place}.{index}"), f"{place}.{index}")


def _part(raw: Mapping[str, JsonValue], place: str) -> Part:
    kind = raw.get("type")
    if not isinstance(kind, str):
        raise _Unreadable(f"{place}.type", f"expected a text, got {_kind(kind)}")
    if kind in _CALL_TYPES:
        return _tool_call(raw)
    if kind in _RESPONSE_TYPES:
        return _tool_response(raw)
    text = _first_text(raw, ("content", "text", "thinking", "reasoning", "refusal"))
    if kind in _TEXT_TYPES and text is not None:
        return TextPart(content=text)
    if kind in _REASONING_TYPES and text is not None:
        return ReasoningPart(content=text)
    return UnknownPart(type=kind[:64], data={key: value for key, value in raw.items() if key != "type"})


def _tool_call(raw: Mapping[str, JsonValue]) -> ToolCallPart:
    function = raw.get("function")
    body = function if isinstance(function, dict) else raw
    arguments = next((body[key] for key in ("arguments", "input", "parameters", "args") if key in body), None)
    return ToolCallPart(
        id=_first_text(raw, ("id", "call_id", "tool_call_id")),
        name=_text_or_none(body.get("name")) or "",
        arguments=structure(arguments),
    )


def _tool_response(raw: Mapping[str, JsonValue]) -> ToolCallResponsePart:
    response = next((raw[key] for key in ("response", "result", "content", "output") if key in raw), None)
    if isinstance(response, list) and response and all(_is_text_block(item) for item in response):
        response = "\n".join(str(item["text"]) for item in response if isinstance(item, dict))
    return ToolCallResponsePart(
        id=_first_text(raw, ("id", "tool_call_id", "tool_use_id", "call_id")), response=response
    )


def _is_text_block(item: JsonValue) -> bool:
    return isinstance(item, dict) and item.get("type") == "text" and isinstance(item.get("text"), str)


def _object(raw: JsonValue, place: str) -> Mapping[str, JsonValue]:
    if not isinstance(raw, dict):
        raise _Unreadable(place, f"expected an object, got {_kind(raw)}")
    return raw


def _first_text(raw: Mapping[str, JsonValue], fields: Sequence[str]) -> str | None:
    return next((value for field in fields if isinstance(value := raw.get(field), str)), None)


def _text_or_none(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _kind(value: JsonValue) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")
