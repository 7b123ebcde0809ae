"""Records that should never have been sent, and what must become of each: one table for all tests of bad input.

`dead`: refused with this error code. `unscored`, `partial`: a verdict with this text in its reason. `scored`: odd, but
whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

Outcome = Literal["dead", "unscored", "partial", "scored"]


class BadInput(NamedTuple):
    """`data` is a function where the bytes are too big to keep around."""

    name: str
    data: bytes | Callable[[], bytes]
    outcome: Outcome
    expected: str = ""

    def record(self) -> bytes:
        return self.data if isinstance(self.data, bytes) else self.data()


def _body(**fields: Any) -> dict[str, Any]:
    return {
        "event_id": "bad-input",
        "conversation_id": "bad-input",
        "occurred_at": "2026-01-02T03:04:05Z",
        "messages": [{"role": "assistant", "content": "What is the weather like?"}],
        **fields,
    }


def _event(**fields: Any) -> bytes:
    return json.dumps(_body(**fields)).encode()


def _without(field: str) -> bytes:
    return json.dumps({name: value for name, value in _body().items() if name != field}).encode()


def _saying(content: Any, **fields: Any) -> bytes:
    return _event(messages=[{"role": "assistant", "content": content, **fields}])


def _parts(*parts: Any) -> bytes:
    return _event(messages=[{"role": "assistant", "parts": list(parts)}])


def _raw_attribute(literal: str) -> bytes:
    """An event with a JSON literal that `json.dumps` would not write."""
    return _event(attributes={"x": "HERE"}).replace(b'"HERE"', literal.encode())


def _nested(levels: int) -> bytes:
    return _raw_attribute("[" * levels + "]" * levels)


CASES: tuple[BadInput, ...] = (
    # Not readable as JSON at all
    BadInput("nothing", b"", "dead", "not_json"),
    BadInput("white space", b" \n\t ", "dead", "not_json"),
    BadInput("prose", b"this is not JSON", "dead", "not_json"),
    BadInput("binary", bytes(range(128)), "dead", "not_json"),
    BadInput("cut off", _event()[:-20], "dead", "not_json"),
    BadInput("two events in one record", _event() + _event(), "dead", "not_json"),
    BadInput("single quotes", str(_body()).encode(), "dead", "not_json"),
    BadInput("raw control character", _event().replace(b"weather", b"wea\x00ther"), "dead", "not_json"),
    BadInput("bad UTF-8", _event().replace(b"weather", b"wea\xffther"), "dead", "not_utf8"),
    BadInput("surrogates in UTF-8", _event().replace(b"weather", b"\xed\xa0\x80"), "dead", "not_utf8"),
    BadInput("UTF-16", _event().decode().encode("utf-16"), "dead", "not_utf8"),
    # Numbers
    BadInput("NaN", _raw_attribute("NaN"), "dead", "not_finite"),
    BadInput("infinity", _raw_attribute("-Infinity"), "dead", "not_finite"),
    BadInput("1e999", _raw_attribute("1e999"), "dead", "not_finite"),
    BadInput("integer of 5000 digits", _raw_attribute("9" * 5_000), "dead", "not_json"),
    BadInput("integer of 4000 digits", _raw_attribute("9" * 4_000), "scored"),
    # Nesting
    BadInput("150 levels of lists", _nested(150), "dead", "too_deep"),
    BadInput("100000 levels of lists", lambda: _nested(100_000), "dead", "too_deep"),
    BadInput(
        "100000 levels of objects",
        lambda: _raw_attribute('{"a":' * 100_000 + "1" + "}" * 100_000),
        "dead",
        "too_deep",
    ),
    BadInput("100000 levels that never close", b"[" * 100_000, "dead", "too_deep"),
    BadInput(
        "99 levels in a string of arguments",
        _parts({"type": "tool_call", "name": "f", "arguments": "[" * 99 + "1" + "]" * 99}),
        "dead",
        "too_deep",
    ),
    BadInput("90 levels of lists", _nested(90), "scored"),
    # The wrong schema
    BadInput("a number", b"42", "dead", "bad_schema"),
    BadInput("a text", b'"event"', "dead", "bad_schema"),
    BadInput("null", b"null", "dead", "bad_schema"),
    BadInput("a list", b"[]", "dead", "bad_schema"),
    BadInput("an empty object", b"{}", "dead", "bad_schema"),
    BadInput("another schema", b'{"user": "ann", "action": "click"}', "dead", "bad_schema"),
    BadInput("schema version 2", _event(schema_version=2), "dead", "bad_schema"),
    BadInput("schema version one in words", _event(schema_version="one"), "dead", "bad_schema"),
    BadInput("no event id", _without("event_id"), "dead", "bad_schema"),
    BadInput("no conversation id", _without("conversation_id"), "dead", "bad_schema"),
    BadInput("no time", _without("occurred_at"), "dead", "bad_schema"),
    BadInput("no messages", _without("messages"), "dead", "bad_schema"),
    BadInput("messages null", _event(messages=None), "dead", "bad_schema"),
    BadInput("naive time", _event(occurred_at="2026-01-02T03:04:05"), "dead", "bad_schema"),
    BadInput("not a time", _event(occurred_at="yesterday"), "dead", "bad_schema"),
    BadInput("time in the year 9999", _event(occurred_at="9999-12-31T23:59:59Z"), "dead", "bad_schema"),
    BadInput("time in the year 1", _event(occurred_at="0001-01-01T00:00:00Z"), "dead", "bad_schema"),
    BadInput("NUL in the event id", _event(event_id="a\0b"), "dead", "bad_schema"),
    BadInput("NUL in the tenant id", _event(tenant_id="\0"), "dead", "bad_schema"),
    BadInput("NUL in the conversation id", _event(conversation_id="a\0"), "dead", "bad_schema"),
    BadInput("line feed in the tenant id", _event(tenant_id="a\nb"), "dead", "bad_schema"),
    BadInput("empty event id", _event(event_id=""), "dead", "bad_schema"),
    BadInput("event id of 257 characters", _event(event_id="x" * 257), "dead", "bad_schema"),
    BadInput("event id a number", _event(event_id=7), "dead", "bad_schema"),
    BadInput("negative seq", _event(seq=-1), "dead", "bad_schema"),
    BadInput("seq beyond 2**53", _event(seq=2**63), "dead", "bad_schema"),
    BadInput("first_message a text", _event(first_message="3"), "dead", "bad_schema"),
    BadInput("first_message negative", _event(first_message=-1), "dead", "bad_schema"),
    BadInput("negative gaps", _event(integrity={"gaps": -1}), "dead", "bad_schema"),
    BadInput("attributes a list", _event(attributes=[1]), "dead", "bad_schema"),
    BadInput("reward an object", _event(reward={"score": 1}), "dead", "bad_schema"),
    BadInput("agent a text", _event(agent="helper"), "dead", "bad_schema"),
    # Messages that are none
    BadInput("messages a number", _event(messages=7), "dead", "bad_messages"),
    BadInput("messages an object", _event(messages={"role": "user"}), "dead", "bad_messages"),
    BadInput("messages prose", _event(messages="hello"), "dead", "bad_messages"),
    BadInput("message a text", _event(messages=["hello"]), "dead", "bad_messages"),
    BadInput("message null", _event(messages=[None]), "dead", "bad_messages"),
    BadInput("message without a role", _event(messages=[{"content": "hello"}]), "dead", "bad_messages"),
    BadInput("role a number", _event(messages=[{"role": 1, "content": "hello"}]), "dead", "bad_messages"),
    BadInput("endless role", _event(messages=[{"role": "r" * 65, "content": "hello"}]), "dead", "bad_messages"),
    BadInput("content a number", _saying(5), "dead", "bad_messages"),
    BadInput("part a number", _parts(5), "dead", "bad_messages"),
    BadInput("part without a type", _parts({"content": "hello"}), "dead", "bad_messages"),
    BadInput("tool calls an object", _saying("hi", tool_calls={"name": "f"}), "dead", "bad_messages"),
    BadInput("tool call a text", _saying("hi", tool_calls=["f"]), "dead", "bad_messages"),
    BadInput(
        "20001 messages",
        lambda: _event(messages=[{"role": "user", "content": "x"}] * 20_001),
        "dead",
        "bad_messages",
    ),
    BadInput(
        "OpenTelemetry messages cut off by an attribute limit",
        _event(messages=None, attributes={"gen_ai.input.messages": '[{"role": "user", "parts": [{"ty'}),
        "dead",
        "bad_messages",
    ),
    # Nothing in it to score
    BadInput("empty conversation", _event(messages=[]), "unscored", "empty"),
    BadInput("empty message", _saying(""), "unscored", "empty"),
    BadInput("message without content", _event(messages=[{"role": "user"}]), "unscored", "empty"),
    BadInput("only white space", _saying(" \n\t "), "unscored", "empty"),
    BadInput("only NUL characters", _saying("\0" * 10), "unscored", "empty"),
    BadInput("only zero-width characters", _saying("\u200b\u2060"), "unscored", "empty"),
    BadInput(
        "flat attribute that is no message",
        _event(messages=None, attributes={"gen_ai.prompt.0.calls": "x"}),
        "unscored",
        "empty",
    ),
    BadInput("only an image", _parts({"type": "image", "data": "aGVsbG8="}), "unscored", "read as text"),
    BadInput("text part without text", _parts({"type": "text"}), "unscored", "read as text"),
    # Not all of it can be scored
    BadInput(
        "an image beside text",
        _parts({"type": "text", "content": "look"}, {"type": "image", "data": "aGVsbG8="}),
        "partial",
        "1 part(s) of an unknown type",
    ),
    BadInput("10 MB message", lambda: _saying("All work and no play. " * 477_000), "partial", "longer than the limit"),
    BadInput("a million characters without a space", lambda: _saying("a" * 1_000_000), "partial", "longer than"),
    BadInput("truncated by the sender", _event(integrity={"truncated": True}), "partial", "the sender truncated it"),
    BadInput("gaps", _event(integrity={"gaps": 3}), "partial", "3 missing"),
    # Odd, but whole
    BadInput("byte order mark", b"\xef\xbb\xbf" + _event(), "scored"),
    BadInput("fields of a newer sender", _event(invented_later={"a": 1}), "scored"),
    BadInput("field twice", _event().replace(b"{", b'{"event_id": "other", ', 1), "scored"),
    BadInput("lone surrogate escape in the text", _saying("a \ud800 b"), "scored"),
    BadInput("lone surrogate escape in a name", _event(attributes={"\udfff": 1}), "scored"),
    BadInput("NUL in the text", _saying("a\0b"), "scored"),
    BadInput("unknown role", _event(messages=[{"role": "narrator", "content": "meanwhile"}]), "scored"),
    BadInput("piled-up accents", _saying("Z" + "\u0300\u0301" * 500), "scored"),
    BadInput("right-to-left override", _saying("\u202eabc"), "scored"),
    BadInput("word of 2000 characters", _saying("x" * 2_000), "scored"),
    BadInput("special tokens", _saying("[SEP] [PAD] [CLS] [MASK]"), "scored"),
    BadInput("tool call without arguments", _saying(None, tool_calls=[{"name": "stop"}]), "scored"),
    BadInput(
        "tool call with broken arguments",
        _saying(None, tool_calls=[{"function": {"name": "f", "arguments": '{"path": '}}]),
        "scored",
    ),
)
