"""Builders shared by the unit tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from detectors.codec import event_from
from detectors.detector import Detector
from detectors.loading import open_detector
from detectors.transcript import TranscriptEvent

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def make_event() -> Callable[..., TranscriptEvent]:
    """Events with defaults for all that a test does not care about."""

    def make(*contents: str, **fields: Any) -> TranscriptEvent:
        roles = ("user", "assistant") if len(contents) > 1 else ("assistant",)
        messages = [{"role": roles[i % len(roles)], "content": content} for i, content in enumerate(contents)]
        body = {"event_id": "e1", "conversation_id": "c1", "occurred_at": NOW.isoformat(), "messages": messages}
        return event_from({**body, **fields})

    return make


@pytest.fixture(scope="session")
def detector() -> Detector:
    """The bundle that ships, for tests that need a real one of whatever quality."""
    return open_detector()
