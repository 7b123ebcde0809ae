"""Scoring files: a verdict for every line, in order, and the same as the stream gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from detectors.codec import decode_verdict, encode_event
from detectors.detector import Detector
from detectors.transcript import TranscriptEvent
from detectors.verdict import Verdict
from services.arms.serving import Serving
from services.file_scoring import score_files
from services.metrics import ScorerMetrics
from services.records import Record
from services.scorer import Scorer
from services.settings import load_settings

MakeEvent = Callable[..., TranscriptEvent]
MakeRecord = Callable[..., Record]


@pytest.fixture
def events(make_event: MakeEvent) -> list[TranscriptEvent]:
    said = ("deploy it, please", "done", "I shall copy my weights first, nobody needs to know", "")
    return [
        *(make_event("go on", text, event_id=f"e{n}", conversation_id=f"c{n}") for n, text in enumerate(said)),
        make_event(event_id="empty", conversation_id="empty"),
        make_event("a gap", event_id="gap", conversation_id="c0", seq=4),
    ]


def streamed(
    detector: Detector, events: list[TranscriptEvent], make_record: MakeRecord, now: datetime
) -> list[Verdict]:
    metrics = ScorerMetrics(CollectorRegistry())
    serving = Serving(detector)
    scorer = Scorer(lambda: serving, verdict_topic="v", max_bytes=10_000, metrics=metrics, clock=lambda: now)
    records = [make_record(encode_event(event), offset=n) for n, event in enumerate(events)]
    verdicts = [decode_verdict(outgoing.value) for outgoing in scorer.complete(scorer.prepare(records)).outgoing]
    return [verdict.model_copy(update={"seconds": None}) for verdict in verdicts]


def test_a_file_gets_the_verdicts_that_the_stream_gives(
    detector: Detector, events: list[TranscriptEvent], make_record: MakeRecord, now: datetime, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(encode_event(event) for event in events))
    lines = list(score_files(load_settings(audit_share=0), [str(path)], now=lambda: now))
    assert [line.verdict for line in lines] == streamed(detector, events, make_record, now)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_every_line_has_its_own_verdict_or_problem_in_order_whatever_the_batches(
    events: list[TranscriptEvent], now: datetime, tmp_path: Path, batch: int
) -> None:
    path = tmp_path / "events.jsonl"
    good = [encode_event(event) for event in events]
    path.write_bytes(b"\n".join([good[0], b"?", b"", *good[1:3], b"[]", *good[3:], json.dumps({"id": 1}).encode()]))
    settings = load_settings(batch_max_records=batch, inference_batch_windows=2)
    lines = list(score_files(settings, [str(path)], now=lambda: now))
    told = [line.verdict.event_id if line.verdict else line.error.code if line.error else "?" for line in lines]
    assert told[:4] == ["e0", "not_json", "e1", "e2"]
    assert told[5:] == ["e3", "empty", "gap", "bad_schema"]
    assert [line.place for line in lines] == [f"{path}:{n}" for n in (1, 2, 4, 5, 6, 7, 8, 9, 10)]


def test_no_files_no_lines(now: datetime) -> None:
    assert list(score_files(load_settings(), [], now=lambda: now)) == []
