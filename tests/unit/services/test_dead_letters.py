"""Dead letters: nothing of a record is lost on the way, and a flood of them stops the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dead_letters import DeadLetter, FloodGate, dead_letter, dead_topic, from_record, to_record
from services.errors import DeadLetterFlood
from services.records import Outgoing, Record

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
letters = st.builds(
    DeadLetter,
    topic=texts,
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    code=texts,
    reason=texts,
    died_at=st.datetimes(datetime(2000, 1, 3), datetime(2200, 1, 1), timezones=zones),
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=60),
    size=st.integers(0, 2**31 - 1),
)


@settings(max_examples=50, deadline=None)
@given(letter=letters)
def test_a_letter_that_was_written_reads_back_equal(letter: DeadLetter) -> None:
    written = to_record(letter, max_bytes=80)
    assert written.topic == f"{letter.topic}.dead"
    assert (written.key, written.value) == (letter.key, letter.value or b"")
    assert read_back(written) == letter


def read_back(written: Outgoing) -> DeadLetter:
    appended = datetime(2026, 1, 1, tzinfo=UTC)
    return from_record(Record(written.topic, 3, 99, written.key, written.value, appended, written.headers))


def test_a_record_that_cannot_be_written_is_described_without_its_bytes(
    make_record: Callable[..., Record], now: datetime
) -> None:
    letter = dead_letter(make_record(b"x" * 100, key=b"k"), "too_large", "100 bytes, the limit is 50", now)
    assert read_back(to_record(letter, max_bytes=101)) == letter
    written = to_record(letter, max_bytes=100)
    assert (written.key, written.value) == (None, b"")
    assert read_back(written) == replace(letter, key=None, value=None)
    assert read_back(written).size == 100


def test_a_reason_without_end_is_cut_so_that_its_letter_reads_back(
    make_record: Callable[..., Record], now: datetime
) -> None:
    letter = dead_letter(make_record(b"?"), "bad_schema", "too long " * 1000, now)
    assert read_back(to_record(letter, max_bytes=100)) == letter
    assert letter.reason.startswith("too long too long")


def test_a_letter_names_its_record_and_keeps_its_bytes(make_record: Callable[..., Record], now: datetime) -> None:
    record = make_record(b"\xff{", partition=2, offset=41)
    letter = dead_letter(record, "not_utf8", "byte 0 is not valid UTF-8", now)
    assert letter.size == 2
    assert letter.place == record.place == "plumbline.transcripts:2:41"
    assert (letter.key, letter.value, letter.died_at) == (record.key, b"\xff{", now)


def test_a_tombstone_has_a_letter_without_bytes(make_record: Callable[..., Record], now: datetime) -> None:
    letter = dead_letter(make_record(None), "no_value", "the record is empty", now)
    assert (letter.value, letter.size) == (b"", 0)


HEADERS = {
    "plumbline-topic": b"plumbline.transcripts",
    "plumbline-partition": b"1",
    "plumbline-offset": b"7",
    "plumbline-code": b"not_json",
    "plumbline-reason": b"not JSON",
    "plumbline-died-at": b"2026-01-01T00:00:00+00:00",
    "plumbline-size": b"1",
}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": b"00-1-1-00"},
        {name: value for name, value in HEADERS.items() if name != "plumbline-offset"},
        {**HEADERS, "plumbline-topic": b"payments"},
        {**HEADERS, "plumbline-size": b"-1"},
        {**HEADERS, "plumbline-reason": b"x" * 2001},
        {**HEADERS, "plumbline-partition": b"one"},
        {**HEADERS, "plumbline-partition": b"-1"},
        {**HEADERS, "plumbline-offset": b"1" + b"0" * 30},
        {**HEADERS, "plumbline-reason": b"\xff"},
        {**HEADERS, "plumbline-reason": b"a\0b"},
        {**HEADERS, "plumbline-died-at": b"yesterday"},
        {**HEADERS, "plumbline-died-at": b"2026-01-01T00:00:00"},
        {**HEADERS, "plumbline-died-at": b"0001-01-01T00:00:00+00:00"},
    ],
    ids=lambda headers: str(len(headers)),
)
def test_what_somebody_else_put_there_is_its_own_dead_letter(
    make_record: Callable[..., Record], headers: dict[str, bytes]
) -> None:
    record = make_record(b"?", topic="plumbline.transcripts.dead", offset=5, headers=tuple(headers.items()))
    letter = from_record(record)
    assert (letter.code, letter.place) == ("foreign", "plumbline.transcripts.dead:0:5")
    assert (letter.key, letter.value, letter.died_at) == (record.key, b"?", record.timestamp)


def test_the_headers_that_the_cases_above_spoil_are_otherwise_those_of_a_letter(
    make_record: Callable[..., Record],
) -> None:
    record = make_record(b"?", topic="plumbline.transcripts.dead", headers=tuple(HEADERS.items()))
    assert from_record(record).place == "plumbline.transcripts:1:7"


def test_dead_letters_go_beside_their_topic() -> None:
    assert dead_topic("plumbline.verdicts") == "plumbline.verdicts.dead"


batches = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=30)


@settings(max_examples=40)
@given(window=st.integers(10, 2000), sizes=st.lists(st.integers(1, 20), max_size=40))
def test_nothing_is_judged_before_a_fiftieth_of_the_window_was_seen(window: int, sizes: list[int]) -> None:
    gate = FloodGate(limit=0.01, window=window)
    enough, seen = max(10, window // 50), 0
    for size in sizes:
        if seen + size >= enough:
            break
        seen += size
        gate.admit(size, size)
        assert gate.share == 0.0  # of so few it would say nothing


@settings(max_examples=60)
@given(window=st.integers(10, 60), limit=st.floats(0.05, 1), counts=batches)
def test_the_gate_stops_exactly_when_the_latest_records_pass_the_limit(
    window: int, limit: float, counts: list[tuple[int, int]]
) -> None:
    gate = FloodGate(limit=limit, window=window)
    history: list[bool] = []
    for dead, alive in counts:
        history += [True] * dead + [False] * alive
        latest = history[-window:]
        share = sum(latest) / len(latest) if len(latest) >= 10 else 0.0
        if share > limit:
            with pytest.raises(DeadLetterFlood, match="dead-letters list"):
                gate.admit(dead, dead + alive)
        else:
            gate.admit(dead, dead + alive)
        assert gate.share == pytest.approx(share)


def test_a_share_at_the_limit_is_let_through() -> None:
    gate = FloodGate(limit=0.5, window=100)
    gate.admit(10, 20)
    assert gate.share == 0.5


def test_the_gate_opens_again_when_good_records_follow() -> None:
    gate = FloodGate(limit=0.5, window=20)
    with pytest.raises(DeadLetterFlood, match="100% of the last 10 records"):
        gate.admit(10, 10)
    gate.admit(0, 10)
    assert gate.share == 0.5
    gate.admit(0, 20)
    assert gate.share == 0.0
