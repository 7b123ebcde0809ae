"""Stored messages: redacted, every offset of `part_text` valid, and readable by the codec again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec.messages import normalise
from detectors.transcript import Message, TextPart, UnknownPart, part_text
from services.privacy.recognisers import built_in
from services.privacy.redaction import MASK, Redactor
from services.privacy.stored import StoredMessage, plain_message, stored_message

REDACTOR = Redactor(built_in(("US",)))
OFF = Redactor(())
TEXTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | st.sampled_from(["anna@example.org", "4111111111111111", "password: hunter2", "{", '"', "[1", "\\"]),
    max_size=4,
).map("".join)
JSON = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PARTS = st.one_of(
    st.builds(lambda text: {"type": "text", "content": text}, TEXTS),
    st.builds(lambda text: {"type": "reasoning", "content": text}, TEXTS),
    st.builds(
        lambda name, value, call: {"type": "tool_call", "id": call, "name": name, "arguments": value},
        TEXTS,
        JSON,
        TEXTS,
    ),
    st.builds(lambda value: {"type": "tool_call_response", "response": value}, JSON),
    st.builds(lambda data: {"type": "image", "data": data}, TEXTS),
)
MESSAGES = st.builds(
    lambda role, parts, name: normalise([{"role": role, "parts": parts, "name": name}])[0],
    st.sampled_from(["user", "assistant", "tool", "anna@example.org"]),
    st.lists(PARTS, max_size=4),
    st.none() | TEXTS,
)


def stored(*parts: dict[str, Any], redactor: Redactor = REDACTOR) -> StoredMessage:
    (message,) = normalise([{"role": "assistant", "parts": list(parts)}], 7)
    return stored_message(message, 7, redactor)


def texts(message: Message) -> list[str | None]:
    """As they are stored: no database has to take a NUL."""
    return [text and text.replace("\0", "\ufffd") for text in map(part_text, message.parts)]


@given(MESSAGES)
def test_every_offset_stays_valid(message: Message) -> None:
    kept = stored_message(message, 3, REDACTOR)
    assert (kept.position, kept.id) == (3, message.id)
    for part, original in zip(kept.parts, texts(message), strict=True):
        assert (part.text is None) == (original is None)
        if part.text is not None and original is not None:
            spans = [range(span.start, span.end) for span in part.redactions]
            assert len(part.text) == len(original)
            assert all(
                char == part.text[place] or any(place in span for span in spans) for place, char in enumerate(original)
            )


@given(MESSAGES)
def test_without_redaction_the_codec_reads_the_same_texts_again(message: Message) -> None:
    kept = stored_message(message, 0, OFF)
    (again,) = normalise([plain_message(kept)])
    assert texts(again) == texts(message)
    assert [part.type for part in again.parts] == [part.type for part in message.parts]
    assert stored_message(again, 0, OFF).parts == kept.parts


@given(MESSAGES)
def test_what_was_redacted_can_be_read_and_redacting_it_again_changes_nothing(message: Message) -> None:
    kept = stored_message(message, 0, REDACTOR)
    (again,) = normalise([plain_message(kept)])
    twice = stored_message(again, 0, REDACTOR)
    assert [part.text for part in twice.parts] == [part.text for part in kept.parts]
    assert not any(part.redactions for part in twice.parts)


@given(MESSAGES)
def test_it_survives_the_database(message: Message) -> None:
    kept = stored_message(message, 0, REDACTOR)
    assert StoredMessage.model_validate(json.loads(kept.model_dump_json())) == kept


class TestParts:
    def test_structures_are_masked_inside_their_json_and_come_back_as_structures(self) -> None:
        arguments = {"to": "anna@example.org", "body": 'say "hi"\n+1 650 253 0000'}
        kept = stored({"type": "tool_call", "id": "c1", "name": "mail_send", "arguments": arguments})
        (part,) = kept.parts
        assert (part.type, part.name, part.id, part.structured) == ("tool_call", "mail_send", "c1", True)
        assert [span.kind for span in part.redactions] == ["email", "phone"]
        masked = {"to": MASK * 16, "body": f'say "hi"\n{MASK * 15}'}
        assert plain_message(kept)["parts"][0] == {
            "type": "tool_call",
            "id": "c1",
            "name": "mail_send",
            "arguments": masked,
        }

    def test_a_bare_number_that_was_masked_leaves_a_string(self) -> None:
        kept = stored({"type": "tool_call", "name": "pay", "arguments": {"card": 4111111111111111}})
        assert plain_message(kept)["parts"][0]["arguments"] == f'{{"card": {MASK * 16}}}'

    def test_two_keys_that_became_one_leave_a_string_of_the_same_length(self) -> None:
        response = {"anna@example.org": 1, "emma@example.org": 2}
        kept = stored({"type": "tool_call_response", "response": response})
        assert plain_message(kept)["parts"][0]["response"] == kept.parts[0].text

    def test_a_string_is_not_structured(self) -> None:
        (part,) = stored({"type": "tool_call_response", "response": "plain"}).parts
        assert (part.text, part.structured) == ("plain", False)

    def test_no_arguments_read_as_an_empty_object(self) -> None:
        (part,) = stored({"type": "tool_call", "name": "now"}).parts
        assert (part.text, part.structured) == ("{}", True)

    def test_what_cannot_be_read_keeps_its_type_alone(self) -> None:
        kept = stored({"type": "image", "data": "anna@example.org"})
        assert kept.parts[0].model_dump(exclude_defaults=True) == {"type": "image"}
        assert plain_message(kept)["parts"] == [{"type": "image"}]


def test_names_ids_and_roles_are_redacted_and_short() -> None:
    parts = [
        {"type": "tool_call", "id": "anna@example.org", "name": "ask anna@example.org"},
        {"type": "tool_call_response", "id": "x" * 1000, "response": ""},
    ]
    (message,) = normalise([{"role": "a@example.org", "name": "anna@example.org", "parts": parts}])
    kept = stored_message(message, 0, REDACTOR)
    assert (kept.role, kept.name) == (MASK * 13, MASK * 16)
    assert (kept.parts[0].id, kept.parts[0].name) == (MASK * 16, f"ask {MASK * 16}")
    assert kept.parts[1].id == "x" * 256


def test_an_unknown_type_is_a_name_too() -> None:
    message = Message(id="m", role="user", parts=(UnknownPart(type="anna@example.org", data={}),))
    assert stored_message(message, 0, REDACTOR).parts[0].type == MASK * 16


@pytest.mark.parametrize("position", [-1])
def test_positions_count_from_the_start(position: int) -> None:
    with pytest.raises(ValueError, match="position"):
        stored_message(Message(id="m", role="user", parts=(TextPart(content=""),)), position, OFF)
