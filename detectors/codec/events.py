"""Transcript events as JSON bytes."""

from __future__ import annotations

import json
from typing import Any

from pydantic import JsonValue, ValidationError

from detectors.codec import json_bytes, messages, opentelemetry
from detectors.errors import RecordError
from detectors.transcript import ToolCallPart, ToolCallResponsePart, TranscriptEvent, UnknownPart

_LEVELS_ABOVE_A_PAYLOAD = 5  # event, messages, message, parts, part
_STRUCTURES = ("agent", "model", "deployment", "integrity", "reward", "feedback", "attributes")


def decode_event(data: bytes) -> TranscriptEvent:
    """An event from one record's bytes. Raises `RecordError` with a reason that quotes none of the content."""
    return event_from(json_bytes.parse(data))


def encode_event(event: TranscriptEvent) -> bytes:
    """JSON that `decode_event` reads back to an equal event."""
    body = event.model_dump(mode="json")
    for message in body["messages"]:
        del message["id"]
        message["parts"] = [_flat_part(part) for part in message["parts"]]
    return _dump(body)


def event_from(raw: JsonValue) -> TranscriptEvent:
    """An event from parsed JSON in any of the accepted forms."""
    if not isinstance(raw, dict):
        raise RecordError(
            "bad_schema", "expected a JSON object with event_id, conversation_id, occurred_at and messages"
        )
    body: dict[str, Any] = {key: value for key, value in raw.items() if value is not None}
    for field in _STRUCTURES:
        if field in body:
            body[field] = messages.structure(body[field])
    body["messages"] = _messages(body)
    try:
        event = TranscriptEvent.model_validate(body)
    except ValidationError as error:
        raise RecordError("bad_schema", explain(error)) from None
    _check_depth(event)
    return event


def _check_depth(event: TranscriptEvent) -> None:
    """Normalising can add levels (structures that came as strings): what is accepted must be readable once encoded."""
    parts = (part for message in event.messages for part in message.parts)
    payloads: list[JsonValue] = [event.attributes, *event.reward, *event.feedback]
    for part in parts:
        match part:
            case ToolCallPart():
                payloads.append(part.arguments)
            case ToolCallResponsePart():
                payloads.append(part.response)
            case UnknownPart():
                payloads.append(part.data)
    for payload in payloads:
        if isinstance(payload, (dict, list)):
            json_bytes.check_depth(payload, json_bytes.MAX_DEPTH - _LEVELS_ABOVE_A_PAYLOAD)


def _messages(body: dict[str, Any]) -> tuple[Any, ...]:
    raw = body.get("messages")
    attributes = body.get("attributes")
    if raw is None and isinstance(attributes, dict):
        raw = opentelemetry.messages_in(attributes)
    if raw is None:
        raise RecordError("bad_schema", "messages: required, here or as gen_ai attributes")
    first = body.get("first_message", 0)
    return messages.normalise(raw, first if isinstance(first, int) and 0 <= first <= 2**31 else 0)


def _flat_part(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": part["type"], **part["data"]} if "data" in part else part


def _dump(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def explain(error: ValidationError) -> str:
    """What is wrong and where, without the values: those are somebody's conversation."""
    problems = []
    for detail in error.errors(include_url=False, include_input=False, include_context=False)[:3]:
        known = [str(step) for step in detail["loc"] if isinstance(step, int) or step in _KNOWN_FIELDS]
        problems.append(f"{'.'.join(known) or 'event'}: {detail['msg'].removeprefix('Value error, ')}")
    more = error.error_count() - len(problems)
    return "; ".join(problems) + (f" (and {more} more)" if more > 0 else "")


_KNOWN_FIELDS = frozenset(TranscriptEvent.model_fields) | {
    "name", "version", "provider", "environment", "region", "truncated", "gaps",
}  # fmt: skip
