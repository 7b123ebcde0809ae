"""Transcripts in, verdicts out: nothing unreadable stops the line, and nothing is counted wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from detectors.codec import decode_verdict, encode_event
from detectors.detector import Detector
from detectors.transcript import TranscriptEvent
from detectors.verdict import Status, Verdict
from services.arms.serving import Serving
from services.metrics import ScorerMetrics
from services.records import Record
from services.scorer import Scorer
from services.stream import Handled

MakeEvent = Callable[..., TranscriptEvent]
MakeRecord = Callable[..., Record]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def scorer(word_detector: Detector, registry: CollectorRegistry, now: datetime) -> Scorer:
    return Scorer(
        lambda: Serving(word_detector),
        verdict_topic="plumbline.verdicts",
        max_bytes=4096,
        metrics=ScorerMetrics(registry),
        clock=lambda: now,
        timer=lambda: 0.0,
    )


def handled(scorer: Scorer, records: Sequence[Record]) -> Handled:
    return scorer.complete(scorer.prepare(records))


def verdicts(result: Handled) -> list[Verdict]:
    return [decode_verdict(outgoing.value) for outgoing in result.outgoing]


def test_an_event_becomes_a_verdict_under_the_key_of_its_conversation(
    scorer: Scorer, make_event: MakeEvent, make_record: MakeRecord, now: datetime
) -> None:
    event = make_event("hello", "good day", tenant_id="acme", conversation_id="c7")
    result = handled(scorer, [make_record(encode_event(event))])
    (outgoing,) = result.outgoing
    (verdict,) = verdicts(result)
    assert (outgoing.topic, outgoing.key) == ("plumbline.verdicts", b"acme/c7")
    assert (verdict.event_id, verdict.status, verdict.decided_at) == (event.event_id, Status.SCORED, now)
    assert result.outcomes == {"scored": 1}
    assert not verdict.flagged


def test_evidence_points_at_the_word_that_raised_the_flag(
    scorer: Scorer, make_event: MakeEvent, make_record: MakeRecord
) -> None:
    said = "Grüße 🙂 – I would call it blackmail, frankly."
    event = make_event("what is it?", said)
    (verdict,) = verdicts(handled(scorer, [make_record(encode_event(event))]))
    assert verdict.flagged == ("coercion", "misalignment")
    assert {item.category for item in verdict.evidence} == {"coercion", "misalignment"}
    for item in verdict.evidence:
        assert (item.message_index, item.message_id) == (1, event.messages[1].id)
        assert said[item.start : item.end] == "blackmail"


BAD: list[tuple[bytes | None, str]] = [
    (None, "no_value"),
    (b"", "no_value"),
    (b'{"a": ', "not_json"),
    (b"\xff\xfe", "not_utf8"),
    (b"[1]", "bad_schema"),
    (b'{"event_id": "e", "conversation_id": "c", "occurred_at": "soon", "messages": []}', "bad_schema"),
    (b'{"event_id": "e", "messages": [{"role": 3}]}', "bad_messages"),
    (b" " * 4097, "too_large"),
]


@pytest.mark.parametrize(("value", "code"), BAD, ids=[code for _, code in BAD])
def test_a_bad_record_among_good_ones_becomes_a_dead_letter_and_the_others_are_scored(
    scorer: Scorer, make_event: MakeEvent, make_record: MakeRecord, now: datetime, value: bytes | None, code: str
) -> None:
    good = [encode_event(make_event("hi", event_id=f"e{n}", conversation_id=f"c{n}")) for n in range(2)]
    records = [make_record(each, partition=1, offset=n) for n, each in enumerate((good[0], value, good[1]))]
    result = handled(scorer, records)
    (letter,) = result.dead_letters
    assert [verdict.event_id for verdict in verdicts(result)] == ["e0", "e1"]
    assert (letter.place, letter.code, letter.died_at) == ("plumbline.transcripts:1:1", code, now)
    assert letter.reason
    assert (letter.key, letter.value) == (records[1].key, value or b"")


def test_the_reason_of_a_dead_letter_quotes_nothing_of_the_record(scorer: Scorer, make_record: MakeRecord) -> None:
    body: dict[str, Any] = {"event_id": "e", "conversation_id": "c\n1", "occurred_at": "classified", "classified": 1}
    for messages in ([{"role": "classified", "content": {"classified": 1}}], "classified", [{"role": "user"}]):
        value = json.dumps({**body, "messages": messages}).encode()
        (letter,) = handled(scorer, [make_record(value)]).dead_letters
        assert "classified" not in letter.reason


def test_a_record_of_exactly_the_largest_size_is_read(
    scorer: Scorer, make_event: MakeEvent, make_record: MakeRecord
) -> None:
    value = encode_event(make_event("hi")).ljust(4096)
    assert handled(scorer, [make_record(value)]).outcomes == {"scored": 1}


def test_an_event_that_comes_twice_gets_the_same_verdict_twice(
    scorer: Scorer, make_event: MakeEvent, make_record: MakeRecord
) -> None:
    value = encode_event(make_event("hi", "this is blackmail"))
    first, second = verdicts(handled(scorer, [make_record(value), make_record(value, offset=1)]))
    (third,) = verdicts(handled(scorer, [make_record(value, offset=2)]))
    assert first == second == third


def test_the_same_event_id_of_another_tenant_or_conversation_has_a_verdict_of_its_own(
    scorer: Scorer, make_event: MakeEvent, make_record: MakeRecord
) -> None:
    events = [make_event("hi"), make_event("hi", tenant_id="b"), make_event("hi", conversation_id="c2")]
    found = verdicts(handled(scorer, [make_record(encode_event(event)) for event in events]))
    assert len({verdict.verdict_id for verdict in found}) == 3


def test_a_missing_event_makes_the_verdict_partial(
    scorer: Scorer, make_event: MakeEvent, make_record: MakeRecord
) -> None:
    values = [encode_event(make_event("hi", event_id=f"e{seq}", seq=seq)) for seq in (0, 2)]
    first, second = verdicts(handled(scorer, [make_record(value) for value in values]))
    assert (first.status, first.reason) == (Status.SCORED, None)
    assert (second.status, second.reason) == (Status.PARTIAL, "seq 2 follows seq 0: 1 event(s) missing")


def test_an_empty_conversation_is_unscored_and_never_taken_for_safe(
    scorer: Scorer, make_event: MakeEvent, make_record: MakeRecord
) -> None:
    result = handled(scorer, [make_record(encode_event(make_event()))])
    (verdict,) = verdicts(result)
    assert result.outcomes == {"unscored": 1}
    assert verdict.misalignment is None
    assert verdict.reason


def test_a_batch_of_nothing_but_bad_records_is_handled(scorer: Scorer, make_record: MakeRecord) -> None:
    result = handled(scorer, [make_record(b"?", offset=n) for n in range(3)])
    assert [letter.offset for letter in result.dead_letters] == [0, 1, 2]
    assert (result.outgoing, result.outcomes) == ([], {})


def test_metrics_count_verdicts_flags_and_windows(
    scorer: Scorer, registry: CollectorRegistry, make_event: MakeEvent, make_record: MakeRecord
) -> None:
    events = [
        make_event("hi", event_id="e0", conversation_id="c0"),
        make_event("hi", "blackmail", event_id="e1", conversation_id="c1"),
        make_event(event_id="e2", conversation_id="c2"),
        make_event("hi", "blackmail", event_id="e3", conversation_id="c3", synthetic=True),
    ]
    handled(scorer, [make_record(encode_event(event)) for event in events] + [make_record(b"?")])

    def count(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"plumbline_{name}_total", labels)

    of_model = {"model_version": "unknown", "arm": "stable"}
    assert count("verdicts", status="scored", **of_model) == 2
    assert count("verdicts", status="unscored", **of_model) == 1
    assert count("incomplete_verdicts", status="unscored", cause="empty", arm="stable") == 1
    assert count("flags", category="coercion", **of_model) == count("flags", category="misalignment", **of_model) == 1
    assert count("flagged_events", severity="critical", **of_model) == 1
    assert count("tenant_events", tenant="default", outcome="flagged") == 1
    assert count("windows", stage="screened", arm="stable") == 3
    assert count("windows", stage="encoded", arm="stable") == 2
    assert registry.get_sample_value("plumbline_misalignment_probability_count", {"model_version": "unknown"}) == 2
    assert registry.get_sample_value("plumbline_detection_seconds_count") == 3
