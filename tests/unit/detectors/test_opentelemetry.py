from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec.messages import normalise
from detectors.codec.opentelemetry import messages_in
from detectors.errors import RecordError

INPUT = [{"role": "user", "parts": [{"type": "text", "content": "in"}]}]
OUTPUT = [{"role": "assistant", "parts": [{"type": "text", "content": "out"}], "finish_reason": "stop"}]
SYSTEM = [{"type": "text", "content": "be good"}]


def said(attributes: dict[str, Any]) -> list[tuple[str, str]]:
    messages = normalise(messages_in(attributes))
    return [(message.role, part.content) for message in messages for part in message.parts if part.type == "text"]


@pytest.mark.parametrize("written", [lambda value: value, json.dumps], ids=["structures", "JSON strings"])
def test_system_input_and_output_come_in_this_order(written: Any) -> None:
    attributes = {
        "gen_ai.output.messages": written(OUTPUT),
        "gen_ai.input.messages": written(INPUT),
        "gen_ai.system_instructions": written(SYSTEM),
        "gen_ai.request.model": "m",
    }
    assert said(attributes) == [("system", "be good"), ("user", "in"), ("assistant", "out")]


@pytest.mark.parametrize("instructions", ["be good", {"type": "text", "content": "be good"}, ["be good"]])
def test_system_instructions_in_looser_forms(instructions: Any) -> None:
    assert said({"gen_ai.system_instructions": instructions}) == [("system", "be good")]


def test_older_flat_attributes_prompts_before_completions_by_number() -> None:
    attributes = {
        "gen_ai.completion.0.content": "answer",
        "gen_ai.prompt.10.content": "later",
        "gen_ai.prompt.2.role": "system",
        "gen_ai.prompt.2.content": "sooner",
    }
    assert said(attributes) == [("system", "sooner"), ("user", "later"), ("assistant", "answer")]


def test_older_flat_tool_calls_are_gathered_in_order() -> None:
    (message,) = normalise(
        messages_in(
            {
                "gen_ai.completion.0.tool_calls.1.name": "second",
                "gen_ai.completion.0.tool_calls.0.arguments": '{"a": 1}',
                "gen_ai.completion.0.tool_calls.0.name": "first",
                "gen_ai.completion.0.tool_calls.0.id": "c1",
            }
        )
    )
    assert [(part.name, part.arguments, part.id) for part in message.parts if part.type == "tool_call"] == [
        ("first", {"a": 1}, "c1"),
        ("second", None, None),
    ]


def test_a_field_called_calls_is_no_tool_call() -> None:
    attributes = {
        "gen_ai.prompt.0.calls": "x",
        "gen_ai.prompt.0.tool_calls.0.name": "f",
        "gen_ai.prompt.0.content": "hi",
    }
    (message,) = normalise(messages_in(attributes))
    assert [part.type for part in message.parts] == ["text", "tool_call"]


@pytest.mark.parametrize(
    "attributes",
    [{}, {"gen_ai.request.model": "m"}, {"gen_ai.prompt.x.content": "hi"}, {"gen_ai.input.messages": "[]"}],
)
def test_attributes_without_messages_are_none(attributes: dict[str, Any]) -> None:
    assert messages_in(attributes) is None


@pytest.mark.parametrize("name", ["gen_ai.input.messages", "gen_ai.output.messages"])
@pytest.mark.parametrize("value", ['[{"role": "user", "SECRET', "SECRET", {"role": "SECRET"}, 5])
def test_a_list_that_cannot_be_read_is_refused_rather_than_left_out(name: str, value: Any) -> None:
    both = {"gen_ai.input.messages": INPUT, "gen_ai.output.messages": OUTPUT, name: value}
    with pytest.raises(RecordError) as caught:
        messages_in(both)
    assert caught.value.code == "bad_messages"
    assert name in caught.value.reason
    assert "SECRET" not in caught.value.reason


FLAT_NAMES = st.from_regex(
    r"gen_ai\.(prompt|completion)\.[0-9]{1,2}\.(content|role|calls|tool_calls|tool_calls\.[0-9]\.(name|arguments))",
    fullmatch=True,
)


@given(st.dictionaries(FLAT_NAMES, st.none() | st.integers() | st.text() | st.lists(st.text()), max_size=6))
def test_any_flat_attributes_are_messages_or_a_record_error(attributes: dict[str, Any]) -> None:
    with contextlib.suppress(RecordError):
        assert len(normalise(messages_in(attributes) or [])) <= len(attributes)
