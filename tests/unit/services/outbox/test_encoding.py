"""Messages as records: nothing that was confirmed is too large to leave."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.outbox.encoding import MESSAGE_ID, bare, message_id, outgoing
from services.records import Outgoing, Record
from services.store.outbox import Channel, Message

NOW = datetime(2026, 3, 4, tzinfo=UTC)
WORDS = st.text(st.characters(), max_size=300)  # halves of surrogate pairs included


def message(value: dict[str, Any]) -> Message:
    return Message(1, uuid4(), Channel.KAFKA, "t", "acme/ü", value, uuid4(), NOW, NOW, None, 0)


def read(record: Outgoing) -> Record:
    return Record(record.topic, 0, 0, record.key, record.value, NOW, record.headers)


@given(st.dictionaries(WORDS, WORDS | st.none() | st.integers(), max_size=5))
def test_a_record_says_what_the_message_says_and_which_it_is(value: dict[str, Any]) -> None:
    sent = message(value)
    record = outgoing(sent, 10**6)
    assert record is not None
    assert json.loads(record.value) == value
    assert record.key == "acme/ü".encode()
    assert message_id(read(record)) == sent.message_id


@given(st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 4000), st.integers(1500, 6000))
def test_what_is_too_large_goes_without_what_makes_it_so(said: int, marked: int, meant: int, limit: int) -> None:
    value = {"label_id": "l", "messages": ["m" * said], "evidence": ["e" * marked], "corrected_answer": "a" * meant}
    record = outgoing(message(value), limit)
    assert record is not None
    assert len(record.value) <= limit
    sent = json.loads(record.value)
    assert sent["label_id"] == "l"
    if sent == value:
        return
    assert sent["omitted"] == "too large"
    assert sent["messages"] is None
    if marked + meant + 1300 < limit:
        assert (sent["evidence"], sent["corrected_answer"]) == (value["evidence"], value["corrected_answer"])


def test_what_is_too_large_in_any_case_is_no_record() -> None:
    assert outgoing(message({"label_ids": "x" * 5000, "messages": ["y"]}), 5000) is None


def test_bare_is_without_all_that_may_be_large() -> None:
    record = bare(message({"label_id": "l", "messages": ["m"], "spans": [1]}))
    assert json.loads(record.value) == {"label_id": "l", "messages": None, "spans": [], "omitted": "too large"}


def test_what_others_wrote_is_no_message_of_ours() -> None:
    for headers in ((), ((MESSAGE_ID, b"\xff"),), (("x", b"y"),), ((MESSAGE_ID, b"12"),)):
        assert message_id(Record("t", 0, 0, None, b"", NOW, headers)) is None
