from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from detectors.transcript import (
    Identifier,
    Moment,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UnknownPart,
    part_text,
)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (TextPart(content="hi"), "hi"),
        (ReasoningPart(content="hm"), "hm"),
        (ToolCallPart(name="f", arguments="ls -l"), "ls -l"),
        (ToolCallPart(name="f", arguments={"ä": [1, None]}), '{"ä": [1, null]}'),
        (ToolCallPart(name="f"), "{}"),
        (ToolCallPart(name="f", arguments=""), "{}"),
        (ToolCallPart(name="f", arguments=0), "0"),
        (ToolCallResponsePart(response="done"), "done"),
        (ToolCallResponsePart(response=[True]), "[true]"),
        (ToolCallResponsePart(), ""),
        (UnknownPart(type="image", data={"text": "hi"}), None),
    ],
)
def test_the_text_of_a_part_that_offsets_count_in(part: Part, text: str | None) -> None:
    assert part_text(part) == text


@pytest.mark.parametrize("value", ["a", "x" * 256, "a b/c:d", "ünïcödé-\U0001f600"])
def test_identifiers(value: str) -> None:
    assert TypeAdapter(Identifier).validate_python(value) == value


@pytest.mark.parametrize("value", ["", "x" * 257, "a\0", "\n", "a\u202eb", "\ud800", "a\u2028", None, 1])
def test_what_is_unsafe_to_store_or_log_is_no_identifier(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Identifier).validate_python(value)


@pytest.mark.parametrize(
    ("moment", "valid"),
    [
        ("2000-01-01T00:00:00Z", True),
        ("2200-12-31T23:59:59+14:00", True),
        ("1999-12-31T23:59:59Z", False),
        ("2201-01-01T00:00:00Z", False),
        ("2026-01-01T00:00:00", False),
        ("2026-02-30T00:00:00Z", False),
        (1e300, False),
    ],
)
def test_moments_have_a_zone_and_a_plausible_year(moment: Any, valid: bool) -> None:
    try:
        TypeAdapter(Moment).validate_json(json.dumps(moment))
    except ValidationError:
        valid = not valid
    assert valid
