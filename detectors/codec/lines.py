"""Conversations out of files: one JSON value a line, in any of the shapes that people keep transcripts in.

A line is a Plumbline event; an OpenAI- or Anthropic-style request (`messages`, optional `system`, with or without
the response's `choices` or `content`); the plain `{id, messages: [...]}`; or a bare list of messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from pydantic import JsonValue

from detectors.codec import json_bytes
from detectors.codec.events import event_from
from detectors.codec.messages import structure
from detectors.errors import RecordError
from detectors.transcript import MAX_IDENTIFIER_CHARS, TranscriptEvent

_NAMESPACE = UUID("0f4d2c3b-7a61-5c18-8a4e-51d7c3b7a0f2")


def read_events(lines: Iterable[bytes], *, now: datetime) -> Iterator[tuple[int, TranscriptEvent | RecordError]]:
    """(line number, event or what is wrong with the line) for every line that is not blank."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, event_from_line(json_bytes.parse(line), now=now)
            except RecordError as error:
                yield number, error


def event_from_line(raw: JsonValue, *, now: datetime) -> TranscriptEvent:
    """An event from one line's JSON; `now` stands in where the line has no time of its own.

    Where the line has no event id, it is derived from the content: the same line read twice is the same event.
    """
    if isinstance(raw, list):
        raw = {"messages": raw}
    if not isinstance(raw, dict):
        raise RecordError("bad_schema", "expected a JSON object or a list of messages")
    if "event_id" in raw:
        return event_from({"occurred_at": now.isoformat(), **raw})
    messages = _messages(raw)
    content = raw.get("attributes") if messages is None else messages
    conversation = raw.get("conversation_id", raw.get("id"))
    identity = json.dumps([raw.get("tenant_id"), conversation, content], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()
    body: dict[str, Any] = {
        "conversation_id": _identifier(conversation, digest),
        "occurred_at": raw.get("occurred_at") or now.isoformat(),
        "final": True,
        "event_id": str(uuid5(_NAMESPACE, digest)),
        "messages": messages,
        "attributes": raw.get("attributes"),
    }
    for field in ("tenant_id", "agent", "deployment", "integrity", "synthetic"):
        body[field] = raw.get(field)
    return event_from(body)


def _messages(raw: dict[str, JsonValue]) -> JsonValue:
    listed = structure(raw.get("messages"))
    if listed is None and isinstance(raw.get("attributes"), dict):
        return None
    if not isinstance(listed, list):
        raise RecordError("bad_schema", "messages: required, a list of messages")
    before: list[JsonValue] = []
    if raw.get("system"):
        before = [{"role": "system", "content": raw["system"]}]
    return [*before, *listed, *_response(raw)]


def _response(raw: dict[str, JsonValue]) -> list[JsonValue]:
    """The answer, where request and response were logged as one object."""
    choices = raw.get("choices")
    if isinstance(choices, list) and choices:
        return [choice["message"] for choice in choices if isinstance(choice, dict) and "message" in choice]
    if raw.get("role") == "assistant" and raw.get("content"):
        return [{"role": "assistant", "content": raw["content"]}]
    return []


def _identifier(given: JsonValue, digest: str) -> str:
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    usable = isinstance(given, str) and given.isprintable() and 0 < len(given) <= MAX_IDENTIFIER_CHARS
    return str(given) if usable else digest[:32]
