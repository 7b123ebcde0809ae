"""Messages out of OpenTelemetry GenAI attributes.

Current (`gen_ai.input.messages`) and older flat ones (`gen_ai.prompt.0.content`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import JsonValue

from detectors.codec.messages import structure
from detectors.errors import RecordError

_MESSAGE_LISTS: Final = {"gen_ai.input.messages": "prompt", "gen_ai.output.messages": "completion"}
_FLAT: Final = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,5})\.(.{1,200})")
_FLAT_CALL: Final = re.compile(r"tool_calls\.(\d{1,4})\.(\w{1,64})")


def messages_in(attributes: Mapping[str, JsonValue]) -> list[JsonValue] | None:
    """Raw messages in the order system, input, output; None where the attributes carry none.

    Raises `RecordError` where a list of messages is there but cannot be read (cut off by an attribute length limit,
    say): what is left would pass for the whole conversation.
    """
    found: list[JsonValue] = []
    instructions = structure(attributes.get("gen_ai.system_instructions"))
    if instructions:
        found.append({"role": "system", "parts": instructions if isinstance(instructions, list) else [instructions]})
    for name, flat in _MESSAGE_LISTS.items():
        listed = structure(attributes.get(name))
        if listed and not isinstance(listed, list):
            raise RecordError("bad_messages", f"attributes.{name}: cannot be read as a list of messages")
        found.extend(listed if isinstance(listed, list) else _flat_messages(attributes, flat))
    return found or None


def _flat_messages(attributes: Mapping[str, JsonValue], kind: str) -> list[JsonValue]:
    by_place: dict[int, dict[str, Any]] = {}
    calls: dict[int, dict[int, dict[str, JsonValue]]] = {}
    for name, value in attributes.items():
        match = _FLAT.fullmatch(name)
        if match and match[1] == kind:
            place, field = int(match[2]), match[3]
            message = by_place.setdefault(place, {"role": _default_role(kind)})
            if call := _FLAT_CALL.fullmatch(field):
                calls.setdefault(place, {}).setdefault(int(call[1]), {})[call[2]] = value
            else:
                message[field] = value
    return [_with_calls(by_place[place], calls.get(place)) for place in sorted(by_place)]


def _default_role(kind: str) -> str:
    return "assistant" if kind == "completion" else "user"


def _with_calls(message: dict[str, Any], calls: dict[int, dict[str, JsonValue]] | None) -> JsonValue:
    return {**message, "tool_calls": [calls[index] for index in sorted(calls)]} if calls else message
