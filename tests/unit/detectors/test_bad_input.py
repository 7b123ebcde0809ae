"""Whatever is sent ends as exactly one of dead-lettered, unscored, partial or scored, and the reason says why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from detectors.codec import decode_event, decode_verdict, encode_event, encode_verdict
from detectors.detector import Detector
from detectors.errors import RecordError
from detectors.transcript import TranscriptEvent


def _read(data: bytes) -> TranscriptEvent | RecordError:
    try:
        return decode_event(data)
    except RecordError as error:
        return error


def test_every_bad_input_ends_as_the_table_says(
    bad_input: Any, make_detector: Callable[..., Detector], now: datetime
) -> None:
    detector = make_detector(max_windows=4)
    event = _read(bad_input.record())
    if isinstance(event, RecordError):
        assert ("dead", event.code) == (bad_input.outcome, bad_input.expected), event.reason
        assert event.reason
        return
    (verdict,) = detector.judge([detector.prepare(event)], now=now).verdicts
    assert verdict.status == bad_input.outcome
    assert bad_input.expected in (verdict.reason or "")
    assert (verdict.reason is None) == (bad_input.outcome == "scored")
    assert (verdict.misalignment is None) == (bad_input.outcome == "unscored")
    # What is let in must also be fit to travel on.
    assert decode_event(encode_event(event)) == event
    assert decode_verdict(encode_verdict(verdict)) == verdict
