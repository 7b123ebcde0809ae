"""Builders shared by the tests of triage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from services.triage.case import Disposition
from services.triage.label import Label, Source

NOBODY = UUID(int=0)


@pytest.fixture
def make_label() -> Callable[..., Label]:
    """Labels, each a second after the last."""
    numbers = count(1)

    def make(reviewer: str, conversation: str, disposition: Disposition, **fields: Any) -> Label:
        number = next(numbers)
        body = {
            "label_id": UUID(int=number),
            "case_id": NOBODY,
            "tenant_id": "default",
            "conversation_id": conversation,
            "verdict_id": NOBODY,
            "reviewer": reviewer,
            "disposition": disposition,
            "category": None,
            "spans": (),
            "corrected_answer": None,
            "comment": None,
            "source": Source.TRIAGE,
            "blind": True,
            "seconds": None,
            "supersedes": None,
            "bundle_version": "b",
            "created_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        }
        return Label(**{**body, **fields})

    return make
