from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec import decode_event, encode_event, event_from
from detectors.errors import RecordError
from detectors.transcript import TranscriptEvent

SECRET = "xyzzySECRETxyzzy"

BODY: dict[str, Any] = {
    "event_id": "e1",
    "conversation_id": "c1",
    "occurred_at": "2026-01-02T03:04:05Z",
    "messages": [{"role": "user", "content": "hi"}],
}

short = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | short,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(short, inner, max_size=3),
    max_leaves=6,
)
written = json_values | json_values.map(json.dumps)
roles = st.sampled_from(["system", "user", "assistant", "developer", "narrator"])
answering = st.sampled_from(["tool", "function"])


def read(data: bytes) -> TranscriptEvent | RecordError:
    try:
        return decode_event(data)
    except RecordError as error:
        return error


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


calls = objects(
    id=short,
    type=st.just("function"),
    name=short,
    arguments=written,
    function=objects(name=short, arguments=written),
)
parts = st.one_of(
    st.builds(lambda content: {"type": "text", "content": content}, short),
    st.builds(lambda content: {"type": "text", "text": content}, short),
    st.builds(lambda content: {"type": "reasoning", "content": content}, short),
    st.builds(lambda content: {"type": "thinking", "thinking": content, "signature": "s"}, short),
    st.builds(lambda rest: {**rest, "type": "tool_call"}, calls),
    st.builds(lambda rest: {**rest, "type": "tool_use"}, objects(id=short, name=short, input=json_values)),
    st.builds(lambda rest: {**rest, "type": "tool_call_response"}, objects(id=short, response=written, result=written)),
    st.builds(lambda rest: {**rest, "type": "tool_result"}, objects(tool_use_id=short, content=written)),
    st.builds(
        lambda texts: {"type": "tool_result", "content": [{"type": "text", "text": text} for text in texts]},
        st.lists(short, max_size=3),
    ),
    st.builds(lambda kind, rest: {**rest, "type": kind}, short, st.dictionaries(short, json_values, max_size=3)),
    short,
)
messages = st.builds(
    lambda role, rest: {"role": role, **rest},
    roles,
    st.one_of(
        objects(parts=st.lists(parts, max_size=3), name=short, finish_reason=short),
        objects(content=st.lists(parts, max_size=3)),
        objects(content=short | st.none(), refusal=short, tool_calls=st.lists(calls, max_size=2), function_call=calls),
        objects(content=short, reasoning=short, thinking=short),
        objects(content=short, tool_call_id=short),
        st.fixed_dictionaries(
            {"role": answering, "content": written.filter(lambda value: not isinstance(value, list))},
            optional={"tool_call_id": short},
        ),
    ),
)
moments = st.datetimes(
    datetime(2001, 1, 1),
    datetime(2199, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-9))]),
).map(datetime.isoformat)
printable = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
identifiers = st.text(printable, min_size=1, max_size=20)
bodies = st.fixed_dictionaries(
    {
        "event_id": identifiers,
        "conversation_id": identifiers,
        "occurred_at": moments,
        "messages": st.lists(messages, max_size=4) | st.lists(messages, max_size=2).map(json.dumps),
    },
    optional={
        "schema_version": st.just(1),
        "tenant_id": identifiers,
        "seq": st.integers(0, 2**53),
        "final": st.booleans(),
        "first_message": st.integers(0, 2**31),
        "agent": objects(name=short, version=short),
        "model": objects(provider=short, name=short, version=short),
        "deployment": objects(environment=short, region=short),
        "integrity": objects(truncated=st.booleans(), gaps=st.integers(0, 100)),
        "reward": st.lists(st.dictionaries(short, json_values, max_size=2), max_size=2),
        "feedback": st.lists(st.dictionaries(short, json_values, max_size=2), max_size=2),
        "synthetic": st.booleans(),
        "attributes": st.dictionaries(short, json_values, max_size=3),
    },
)


@given(bodies)
def test_what_is_encoded_reads_back_to_an_equal_event_and_encodes_the_same(body: dict[str, Any]) -> None:
    event = decode_event(json.dumps(body).encode())
    encoded = encode_event(event)
    assert decode_event(encoded) == event
    assert encode_event(decode_event(encoded)) == encoded
    assert b"\n" not in encoded


@pytest.mark.parametrize("levels", range(88, 101))
@pytest.mark.parametrize(
    "message",
    [
        '{"role": "a", "parts": [{"type": "tool_call", "arguments": DEEP}]}',
        '{"role": "a", "parts": [{"type": "tool_call", "arguments": "DEEP"}]}',
        '{"role": "a", "function_call": {"arguments": "DEEP"}}',
        '{"role": "tool", "content": {"x": DEEP}}',
        '{"role": "a", "content": [{"type": "image", "x": DEEP}]}',
    ],
)
def test_nested_structures_are_refused_or_readable_once_encoded(message: str, levels: int) -> None:
    raw = json.dumps(BODY).replace('{"role": "user", "content": "hi"}', message)
    event = read(raw.replace("DEEP", "[" * levels + "1" + "]" * levels).encode())
    if isinstance(event, RecordError):
        assert event.code == "too_deep"
        assert levels > 90
    else:
        assert decode_event(encode_event(event)) == event


def test_structures_may_come_as_json_strings() -> None:
    plain = {"agent": {"name": "a"}, "attributes": {"k": [1]}, "reward": [{"score": 1}], "integrity": {"gaps": 2}}
    written = {field: json.dumps(value) for field, value in plain.items()}
    assert event_from({**BODY, **written}) == event_from({**BODY, **plain})


def test_fields_that_are_null_are_fields_not_sent() -> None:
    nulls = dict.fromkeys(("tenant_id", "seq", "agent", "reward", "attributes", "first_message"))
    assert event_from({**BODY, **nulls}) == event_from(BODY)


def test_unknown_fields_are_ignored() -> None:
    assert event_from({**BODY, "added_in_2027": {"x": 1}}) == event_from(BODY)


def test_messages_may_come_as_open_telemetry_attributes() -> None:
    attributes = {"gen_ai.input.messages": [{"role": "user", "content": "hi"}]}
    event = event_from({**BODY, "messages": None, "attributes": attributes})
    assert event.messages == event_from(BODY).messages
    assert event.attributes == attributes


def test_messages_win_over_attributes() -> None:
    attributes = {"gen_ai.input.messages": [{"role": "user", "content": "other"}]}
    assert event_from({**BODY, "attributes": attributes}).messages == event_from(BODY).messages


def test_the_first_message_moves_the_ids() -> None:
    delta = event_from({**BODY, "first_message": 1})
    whole = event_from({**BODY, "messages": [{"role": "system", "content": "x"}, *BODY["messages"]]})
    assert delta.messages[0].id == whole.messages[1].id != event_from(BODY).messages[0].id


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"schema_version": 2}, "schema_version: Input should be 1"),
        ({"event_id": "a\0"}, "event_id: has unprintable characters"),
        ({"occurred_at": "2026-01-02T03:04:05"}, "occurred_at: Input should have timezone info"),
        ({"occurred_at": "1999-01-02T03:04:05Z"}, "occurred_at: is not between the years 2000 and 2200"),
        ({"seq": -1}, "seq: Input should be greater than or equal to 0"),
        ({"integrity": {"gaps": -1}}, "integrity.gaps: Input should be"),
        ({"reward": [{}, 3]}, "reward.1: Input should be a valid dictionary"),
        ({"event_id": None, "conversation_id": None}, "event_id: Field required; conversation_id: Field required"),
    ],
)
def test_reasons_say_what_is_wrong_and_where(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        event_from({**BODY, **fields})
    assert caught.value.code == "bad_schema"
    assert caught.value.reason.startswith(reason)


def test_a_reason_names_three_problems_and_counts_the_rest() -> None:
    with pytest.raises(RecordError) as caught:
        event_from({**BODY, "event_id": 1, "tenant_id": 2, "conversation_id": 3, "seq": -1, "final": []})
    assert caught.value.reason.count(";") == 2
    assert caught.value.reason.endswith("(and 2 more)")


@pytest.mark.parametrize("field", TranscriptEvent.model_fields)
@pytest.mark.parametrize(
    "value", [SECRET, [SECRET], {SECRET: SECRET}, [{SECRET: SECRET}], {"name": [SECRET]}, f"[{SECRET}", f'["{SECRET}"]']
)
def test_no_field_is_quoted_in_a_reason(field: str, value: Any) -> None:
    with pytest.raises(RecordError) as caught:
        decode_event(json.dumps({**BODY, field: value, "final": "neither"}).encode())
    assert SECRET not in caught.value.reason
    assert SECRET not in repr(caught.value)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in `value`."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


secret_values = st.recursive(
    st.none() | st.integers() | st.just(SECRET) | st.just(SECRET * 30) | st.just(f'{{"{SECRET}": 1'),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just(SECRET) | short, inner, max_size=2),
    max_leaves=4,
)


@given(bodies, secret_values, st.randoms(use_true_random=False))
def test_events_that_were_broken_somewhere_are_read_or_refused_without_quoting(
    body: dict[str, Any], secret: Any, random: Any
) -> None:
    broken = copy.deepcopy({**BODY, **body})
    container, key = random.choice(list(places(broken)))
    container[key] = secret
    event = read(json.dumps(broken).encode())
    if isinstance(event, RecordError):
        assert event.code in {"bad_schema", "bad_messages"}
        assert SECRET not in event.reason
    else:
        assert decode_event(encode_event(event)) == event


@given(bodies, st.floats(0, 1))
def test_events_that_were_cut_off_are_not_json(body: dict[str, Any], share: float) -> None:
    data = json.dumps(body).encode()
    with pytest.raises(RecordError) as caught:
        decode_event(data[: int(share * (len(data) - 1))])
    assert caught.value.code == "not_json"


@given(st.dictionaries(st.sampled_from([*TranscriptEvent.model_fields, "x"]), written | messages))
def test_any_json_is_an_event_or_a_record_error(raw: dict[str, Any]) -> None:
    event = read(json.dumps(raw).encode())
    assert isinstance(event, TranscriptEvent) or event.reason
