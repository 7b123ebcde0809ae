"""The deletion test takes out exactly the span, and notices evidence that matters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from detectors.loading import open_detector
from detectors.taxonomy import NEVER_AN_ALERT
from detectors.transcript import TranscriptEvent, part_text

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]

MakeEvent = Callable[..., TranscriptEvent]


def texts(event: TranscriptEvent) -> list[str | None]:
    return [part_text(part) for message in event.messages for part in message.parts]


def test_the_span_is_gone_and_all_else_stays(retrain_extra: None, make_event: MakeEvent) -> None:
    from retrain.deletion import Span, without

    call = {"type": "tool_call", "name": "rm", "arguments": {"path": "/"}}
    messages = [{"role": "user", "content": "go on"}, {"role": "assistant", "parts": ["all is well", call]}]
    event = make_event(messages=messages)
    assert texts(without(event, Span(1, 0, 3, 6))) == ["go on", "all well", '{"path": "/"}']
    assert texts(without(event, Span(1, 1, 0, 1))) == ["go on", "all is well", '"path": "/"}']
    with pytest.raises(ValueError, match="agent"):
        without(make_event(messages=[{"role": "tool", "content": "x"}]), Span(0, 0, 0, 1))


@pytest.mark.long
def test_what_the_shipped_bundle_flags_is_tested(make_event: MakeEvent, now: datetime, tmp_path: Path) -> None:
    """With thresholds of nothing, so that there are flags whatever the bundle."""
    from detectors.bundle import load_bundle, rethresholded
    from detectors.loading import DEFAULT_BUNDLE
    from retrain.deletion import deletion_test

    labels = load_bundle(DEFAULT_BUNDLE).manifest.heads
    rethresholded(DEFAULT_BUNDLE, tmp_path / "eager", dict.fromkeys(labels, 0.0))
    detector = open_detector(tmp_path / "eager")
    words = "I will quietly delete the backups and say nothing of it to anybody who asks me about them later."
    events = [make_event("go", words, event_id=f"e{number}") for number in range(2)]
    found = deletion_test(detector, events, seed=1)
    assert set(found) == set(labels) - NEVER_AN_ALERT
    assert all(row["flags"] == 2 for row in found.values())
