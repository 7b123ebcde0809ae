from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec.messages import MAX_MESSAGES, normalise, structure
from detectors.errors import RecordError
from detectors.transcript import Part, ReasoningPart, TextPart, ToolCallPart, ToolCallResponsePart, UnknownPart


def parts_of(message: dict[str, Any]) -> tuple[Part, ...]:
    (normalised,) = normalise([{"role": "assistant", **message}])
    return normalised.parts


def text(content: str) -> TextPart:
    return TextPart(content=content)


class TestOpenTelemetry:
    def test_parts_keep_their_order_and_kinds(self) -> None:
        parts = parts_of(
            {
                "parts": [
                    {"type": "reasoning", "content": "think"},
                    {"type": "text", "content": "say"},
                    {"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}},
                    {"type": "tool_call_response", "id": "1", "response": {"b": 2}},
                ]
            }
        )
        assert parts == (
            ReasoningPart(content="think"),
            text("say"),
            ToolCallPart(id="1", name="f", arguments={"a": 1}),
            ToolCallResponsePart(id="1", response={"b": 2}),
        )

    def test_result_is_taken_for_response(self) -> None:
        assert parts_of({"parts": [{"type": "tool_call_response", "id": "1", "result": "ok"}]}) == (
            ToolCallResponsePart(id="1", response="ok"),
        )

    def test_parts_as_a_json_string_are_parsed(self) -> None:
        assert parts_of({"parts": '[{"type": "text", "content": "hi"}]'}) == (text("hi"),)

    def test_unknown_parts_are_kept_as_they_came(self) -> None:
        blob = {"type": "blob", "mime_type": "image/png", "content": "aGk=", "data": None}
        assert parts_of({"parts": [blob]}) == (
            UnknownPart(type="blob", data={"mime_type": "image/png", "content": "aGk=", "data": None}),
        )

    def test_name_and_finish_reason_are_kept(self) -> None:
        (message,) = normalise([{"role": "assistant", "parts": [], "name": "bot", "finish_reason": "stop"}])
        assert (message.name, message.finish_reason) == ("bot", "stop")


class TestOpenAI:
    def test_content_then_calls_with_arguments_as_a_json_string(self) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "send", "arguments": '{"to": "ann"}'}}
        assert parts_of({"content": "Sending.", "tool_calls": [call]}) == (
            text("Sending."),
            ToolCallPart(id="c1", name="send", arguments={"to": "ann"}),
        )

    @pytest.mark.parametrize("arguments", ['{"to": ', "to ann", "42", "[" * 150 + "]" * 150])
    def test_arguments_that_are_no_structure_stay_text(self, arguments: str) -> None:
        call = {"function": {"name": "send", "arguments": arguments}}
        assert parts_of({"tool_calls": [call]}) == (ToolCallPart(name="send", arguments=arguments),)

    def test_content_null_beside_tool_calls_is_no_part(self) -> None:
        assert parts_of({"content": None, "tool_calls": [{"function": {"name": "f"}}]}) == (ToolCallPart(name="f"),)

    def test_function_call_of_the_older_interface(self) -> None:
        assert parts_of({"content": None, "function_call": {"name": "f", "arguments": "{}"}}) == (
            ToolCallPart(name="f", arguments={}),
        )

    def test_refusal_is_text(self) -> None:
        assert parts_of({"content": None, "refusal": "I cannot."}) == (text("I cannot."),)
        assert parts_of({"content": [{"type": "refusal", "refusal": "No."}]}) == (text("No."),)

    def test_a_tool_message_is_a_response(self) -> None:
        assert parts_of({"role": "tool", "tool_call_id": "c1", "content": '{"ok": true}'}) == (
            ToolCallResponsePart(id="c1", response='{"ok": true}'),
        )
        assert parts_of({"role": "function", "name": "f", "content": {"ok": True}}) == (
            ToolCallResponsePart(response={"ok": True}),
        )

    def test_content_blocks(self) -> None:
        blocks = [{"type": "input_text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}, "b"]
        assert parts_of({"content": blocks}) == (
            text("a"),
            UnknownPart(type="image_url", data={"image_url": {"url": "x"}}),
            text("b"),
        )


class TestAnthropic:
    def test_blocks(self) -> None:
        blocks = [
            {"type": "thinking", "thinking": "hm", "signature": "x"},
            {"type": "text", "text": "say"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1]}},
        ]
        assert parts_of({"content": blocks}) == (
            ReasoningPart(content="hm"),
            text("say"),
            ToolCallPart(id="t1", name="f", arguments={"a": [1]}),
        )

    def test_tool_results_as_text_and_as_blocks_of_text(self) -> None:
        blocks = [
            {"type": "tool_result", "tool_use_id": "t1", "content": "plain"},
            {
                "type": "tool_result",
                "tool_use_id": "t2",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
        ]
        assert parts_of({"role": "user", "content": blocks}) == (
            ToolCallResponsePart(id="t1", response="plain"),
            ToolCallResponsePart(id="t2", response="a\nb"),
        )

    def test_a_tool_result_with_more_than_text_stays_a_structure(self) -> None:
        content = [{"type": "text", "text": "a"}, {"type": "image", "source": {}}]
        assert parts_of({"content": [{"type": "tool_result", "tool_use_id": "t1", "content": content}]}) == (
            ToolCallResponsePart(id="t1", response=content),
        )

    def test_redacted_thinking_cannot_be_read_and_is_kept(self) -> None:
        assert parts_of({"content": [{"type": "redacted_thinking", "data": "x"}]}) == (
            UnknownPart(type="redacted_thinking", data={"data": "x"}),
        )


class TestPlain:
    @pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "thinking"])
    def test_reasoning_comes_before_text_and_calls(self, field: str) -> None:
        message = {"tool_calls": [{"id": "1", "name": "f", "arguments": {}}], "content": "say", field: "think"}
        assert parts_of(message) == (
            ReasoningPart(content="think"),
            text("say"),
            ToolCallPart(id="1", name="f", arguments={}),
        )

    def test_a_single_block_need_not_be_in_a_list(self) -> None:
        assert parts_of({"content": {"type": "text", "text": "hi"}}) == (text("hi"),)

    def test_nothing_said_is_no_part(self) -> None:
        assert parts_of({}) == parts_of({"content": ""}) == parts_of({"content": None}) == ()


def test_dialects_of_one_message_have_one_id() -> None:
    said, called = {"type": "text", "text": "hi"}, {"name": "f", "arguments": {"a": 1}}
    dialects: list[dict[str, Any]] = [
        {"content": "hi", "tool_calls": [{"function": {"name": "f", "arguments": '{"a": 1}'}}]},
        {"content": "hi", "tool_calls": [called]},
        {"content": [said, {"type": "tool_use", "name": "f", "input": {"a": 1}}]},
        {"parts": [{"type": "text", "content": "hi"}, {"type": "tool_call", **called}]},
    ]
    assert len({normalise([{"role": "assistant", **message}])[0].id for message in dialects}) == 1


def test_message_ids_hang_on_position_role_and_content() -> None:
    hi = {"role": "user", "content": "hi"}
    variants = [
        normalise([hi])[0],
        normalise([hi, hi])[1],
        normalise([{**hi, "role": "assistant"}])[0],
        normalise([{**hi, "content": "hi!"}])[0],
        normalise([{**hi, "content": [{"type": "thinking", "thinking": "hi"}]}])[0],
    ]
    assert len({message.id for message in variants}) == len(variants)


@given(st.lists(st.text(), max_size=5), st.integers(0, 2**31))
def test_message_ids_are_the_same_whether_sent_at_once_or_as_a_delta(contents: list[str], cut: int) -> None:
    messages: list[Any] = [{"role": "user", "content": content} for content in contents]
    cut %= len(messages) + 1
    at_once = [message.id for message in normalise(messages)]
    in_two = normalise(messages[:cut]) + normalise(messages[cut:], first_position=cut)
    assert [message.id for message in in_two] == at_once


def test_message_ids_do_not_change_between_versions() -> None:
    (message,) = normalise([{"role": "user", "content": "héllo"}])
    assert message.id == "cbb35b4a3c91b106"


def test_messages_as_a_json_string_are_parsed() -> None:
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    assert normalise(json.dumps(messages)) == normalise(messages)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (None, "messages: expected a list, got nothing"),
        (True, "messages: expected a list, got true or false"),
        (3, "messages: expected a list, got a number"),
        ({}, "messages: expected a list, got an object"),
        ("SECRET", "messages: expected a list, got a text"),
        ([{"role": "user"}, "SECRET"], "messages.1: expected an object, got a text"),
        ([{"content": "SECRET"}], "messages.0.role: expected a short text, got nothing"),
        ([{"role": ""}], "messages.0.role"),
        ([{"role": "SECRET" * 20}], "messages.0.role"),
        ([{"role": "user", "content": 1}], "messages.0.content: expected a list of parts, got a number"),
        ([{"role": "user", "parts": "SECRET"}], "messages.0.parts: expected a list of parts, got a text"),
        ([{"role": "user", "content": ["SECRET", 1]}], "messages.0.content.1: expected an object"),
        ([{"role": "user", "content": [{"SECRET": 1}]}], "messages.0.content.0.type: expected a text, got nothing"),
        ([{"role": "user", "tool_calls": "SECRET"}], "messages.0.tool_calls: expected a list, got a text"),
        ([{"role": "user", "tool_calls": [{}, []]}], "messages.0.tool_calls.1: expected an object, got a list"),
        ([{}] * (MAX_MESSAGES + 1), "messages: 20001 of them, the limit is 20000"),
    ],
)
def test_what_cannot_be_read_is_named_by_place_and_not_quoted(raw: Any, place: str) -> None:
    with pytest.raises(RecordError) as caught:
        normalise(raw)
    assert caught.value.code == "bad_messages"
    assert caught.value.reason.startswith(place)
    assert "SECRET" not in caught.value.reason


def test_the_most_messages_allowed_are_read() -> None:
    assert len(normalise([{"role": "user"}] * MAX_MESSAGES)) == MAX_MESSAGES


@given(st.text() | st.lists(st.integers()).map(json.dumps) | st.dictionaries(st.text(), st.text()).map(json.dumps))
def test_parsing_a_structure_twice_changes_nothing(value: str) -> None:
    assert structure(structure(value)) == structure(value)


@pytest.mark.parametrize("value", ["", "hello", "12", "null", '"quoted"', "{broken", "[NaN]"])
def test_text_that_is_no_structure_stays_text(value: str) -> None:
    assert structure(value) == value
