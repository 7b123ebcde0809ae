"""Messages as they are stored: redacted, flat, and with every character where evidence says it is."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, JsonValue

from detectors.codec.json_bytes import parse_text
from detectors.errors import RecordError
from detectors.transcript import Frozen, Message, Part, ToolCallPart, ToolCallResponsePart, UnknownPart, part_text
from services.privacy.redaction import Redaction, Redactor


class StoredPart(Frozen):
    """A part. `text` is the redacted `part_text`, None for what cannot be read; `name` and `id` are of tool calls.

    `structured`: the arguments or the response were no string, and `text` is their JSON, as far as it still parses.
    """

    type: str
    text: str | None = None
    name: str | None = None
    id: str | None = None
    structured: bool = False
    redactions: tuple[Redaction, ...] = ()


class StoredMessage(Frozen):
    """A message at its position in the conversation. `id` is the one that evidence names."""

    position: int = Field(ge=0)
    id: str
    role: str
    name: str | None = None
    parts: tuple[StoredPart, ...] = ()


def stored_message(message: Message, position: int, redactor: Redactor) -> StoredMessage:
    """`message` as it may be stored. Names are redacted as well, and cut to 256 characters."""
    return StoredMessage(
        position=position,
        id=message.id,
        role=_name(redactor, message.role),
        name=None if message.name is None else _name(redactor, message.name),
        parts=tuple(_stored_part(part, redactor) for part in message.parts),
    )


def _stored_part(part: Part, redactor: Redactor) -> StoredPart:
    text = part_text(part)
    redacted = None if text is None else redactor.redact(text)
    fields: dict[str, Any] = {"type": _name(redactor, part.type) if isinstance(part, UnknownPart) else part.type}
    match part:
        case ToolCallPart():
            fields |= {"name": _name(redactor, part.name), "structured": text != part.arguments}
        case ToolCallResponsePart():
            fields |= {"structured": text != part.response}
    if isinstance(part, ToolCallPart | ToolCallResponsePart) and part.id is not None:
        fields["id"] = _name(redactor, part.id)
    if redacted is not None:
        fields |= {"text": _storable(redacted.text), "redactions": redacted.spans}
    return StoredPart(**fields)


def _name(redactor: Redactor, name: str) -> str:
    return redactor.name(_storable(name))


def _storable(text: str) -> str:
    """As long as it was. PostgreSQL takes no NUL, in texts and in JSON alike."""
    return text.replace("\0", "\ufffd")


def plain_message(stored: StoredMessage) -> dict[str, Any]:
    """The message in OpenTelemetry's form, for `detectors.codec` to read: the same part texts, masks included.

    What could not be read when it came has a type alone.
    """
    message: dict[str, Any] = {"role": stored.role, "parts": [_plain_part(part) for part in stored.parts]}
    if stored.name is not None:
        message["name"] = stored.name
    return message


def _plain_part(part: StoredPart) -> dict[str, Any]:
    if part.text is None:
        return {"type": part.type}
    named = {} if part.id is None else {"id": part.id}
    match part.type:
        case "tool_call":
            return {"type": part.type, **named, "name": part.name or "", "arguments": _value(part)}
        case "tool_call_response":
            return {"type": part.type, **named, "response": _value(part)}
    return {"type": part.type, "content": part.text}


def _value(part: StoredPart) -> JsonValue:
    """The structure, where it parses and reads the same as it is stored: two keys may have become one."""
    text = part.text or ""
    if not part.structured:
        return text
    if not text:
        return None
    try:
        value = parse_text(text)
    except RecordError:
        return text
    return value if json.dumps(value, ensure_ascii=False) == text else text
