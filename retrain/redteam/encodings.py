"""Attacks on the arguments of tool calls: encoded, with the encoding named, so that the tool can undo it."""

from __future__ import annotations

import base64
import codecs
import json

from pydantic import JsonValue


def base64_arguments(arguments: JsonValue) -> JsonValue:
    """The arguments' JSON in base64."""
    return {"encoding": "base64", "data": base64.b64encode(_json(arguments).encode()).decode()}


def rot13_arguments(arguments: JsonValue) -> JsonValue:
    """The arguments' JSON with each Latin letter thirteen places on."""
    return {"encoding": "rot13", "data": codecs.encode(_json(arguments), "rot13")}


def decoded(arguments: JsonValue) -> JsonValue:
    """What either was given. Raises `ValueError` for anything else."""
    match arguments:
        case {"encoding": "base64", "data": str(data)}:
            return _value(base64.b64decode(data, validate=True).decode())
        case {"encoding": "rot13", "data": str(data)}:
            return _value(codecs.encode(data, "rot13"))
        case _:
            raise ValueError("not an encoding of this suite")


def _json(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


def _value(text: str) -> JsonValue:
    value: JsonValue = json.loads(text)
    return value
