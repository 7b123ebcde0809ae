from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.codec import encode_event, event_from, event_from_line, read_events
from detectors.errors import RecordError
from detectors.transcript import TranscriptEvent

HI = {"role": "user", "content": "hi"}


def said(event: TranscriptEvent) -> list[tuple[str, str]]:
    return [(message.role, part.content) for message in event.messages for part in message.parts if part.type == "text"]


def test_a_plumbline_event_is_read_as_it_is(now: datetime) -> None:
    event = event_from({"event_id": "e", "conversation_id": "c", "occurred_at": now.isoformat(), "messages": [HI]})
    later = now + timedelta(days=1)
    assert event_from_line(json.loads(encode_event(event)), now=later) == event


def test_an_event_without_a_time_gets_the_present_one(now: datetime) -> None:
    event = event_from_line({"event_id": "e", "conversation_id": "c", "messages": [HI]}, now=now)
    assert event.occurred_at == now


@pytest.mark.parametrize(
    "line", [[HI], {"messages": [HI]}, {"id": "x", "messages": [HI]}, {"messages": json.dumps([HI])}]
)
def test_plain_forms_are_final_conversations(line: Any, now: datetime) -> None:
    event = event_from_line(line, now=now)
    assert said(event) == [("user", "hi")]
    assert event.final
    assert event.occurred_at == now


def test_an_open_ai_request_with_its_response(now: datetime) -> None:
    line = {
        "model": "gpt",
        "messages": [HI],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    }
    assert said(event_from_line(line, now=now)) == [("user", "hi"), ("assistant", "hello")]


def test_an_anthropic_request_with_its_response(now: datetime) -> None:
    line = {
        "system": [{"type": "text", "text": "be good"}],
        "messages": [HI],
        "role": "assistant",
        "content": [{"type": "text", "text": "hello"}],
    }
    assert said(event_from_line(line, now=now)) == [("system", "be good"), ("user", "hi"), ("assistant", "hello")]


def test_open_telemetry_attributes(now: datetime) -> None:
    assert said(event_from_line({"attributes": {"gen_ai.prompt.0.content": "hi"}}, now=now)) == [("user", "hi")]


def test_fields_beside_the_messages_are_kept(now: datetime) -> None:
    line = {
        "messages": [HI],
        "tenant_id": "t",
        "agent": {"name": "a"},
        "synthetic": True,
        "occurred_at": "2025-01-01T00:00:00Z",
    }
    event = event_from_line(line, now=now)
    assert (event.tenant_id, event.agent.name, event.synthetic, event.occurred_at.year) == ("t", "a", True, 2025)


@pytest.mark.parametrize(
    ("given_id", "conversation_id"), [("abc", "abc"), (12, "12"), ("x" * 256, "x" * 256)]
)  # fmt: skip
def test_a_usable_id_is_the_conversation_id(given_id: Any, conversation_id: str, now: datetime) -> None:
    assert event_from_line({"id": given_id, "messages": [HI]}, now=now).conversation_id == conversation_id


@pytest.mark.parametrize("given_id", [None, "", "a\0b", "x" * 257, True, 1.5, ["a"], {"a": 1}, 10**300])
def test_an_unusable_id_is_replaced_by_one_of_the_content(given_id: Any, now: datetime) -> None:
    event = event_from_line({"id": given_id, "messages": [HI]}, now=now)
    assert len(event.conversation_id) == 32
    assert event == event_from_line({"id": given_id, "messages": [HI]}, now=now)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ([HI], [HI, HI]),
        ([HI], {"system": "s", "messages": [HI]}),
        ({"id": 1, "messages": [HI]}, {"id": 2, "messages": [HI]}),
        ({"attributes": {"gen_ai.prompt.0.content": "a"}}, {"attributes": {"gen_ai.prompt.0.content": "b"}}),
    ],
)
def test_event_ids_follow_the_content_and_not_the_hour(line: Any, other: Any, now: datetime) -> None:
    first = event_from_line(line, now=now)
    again = event_from_line(line, now=now + timedelta(hours=1))
    assert first.event_id == again.event_id
    assert first.conversation_id == again.conversation_id
    assert first.event_id != event_from_line(other, now=now).event_id


@pytest.mark.parametrize(
    "line", [None, 3, "text", {}, {"messages": None}, {"messages": 5}, {"messages": {"a": 1}}, [1]]
)
def test_other_shapes_are_record_errors(line: Any, now: datetime) -> None:
    with pytest.raises(RecordError):
        event_from_line(line, now=now)


def test_lines_are_numbered_blank_ones_skipped_and_bad_ones_reported_in_place(now: datetime) -> None:
    lines = [
        b"\n",
        json.dumps([HI]).encode() + b"\r\n",
        b"not JSON\n",
        b"   \n",
        b'{"a": 1}\n',
        json.dumps([HI]).encode(),
    ]
    found = list(read_events(lines, now=now))
    assert [number for number, _ in found] == [2, 3, 5, 6]
    assert [outcome.code if isinstance(outcome, RecordError) else "event" for _, outcome in found] == [
        "event",
        "not_json",
        "bad_schema",
        "event",
    ]


def test_an_empty_file_has_no_events(now: datetime) -> None:
    assert list(read_events([], now=now)) == []


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "message", "type", "text", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
fields = st.sampled_from(
    [
        "event_id",
        "id",
        "conversation_id",
        "messages",
        "system",
        "choices",
        "role",
        "content",
        "attributes",
        "occurred_at",
    ]
)


@given(st.dictionaries(fields, values) | values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # `now` is a constant
def test_any_line_is_an_event_or_a_record_error(now: datetime, line: Any) -> None:
    ((number, outcome),) = read_events([json.dumps(line).encode()], now=now)
    assert number == 1
    assert isinstance(outcome, (TranscriptEvent, RecordError))
