"""Labels of made-up conversations. Texts are words without meaning: what matters is which of them are alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

from retrain.queued import QueuedLabel

_NAMESPACE = UUID(int=6)
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_SYLLABLES = [first + second for first in "bdfgklmnprstv" for second in "aeiou"]

MakeLabel = Callable[..., QueuedLabel]
Words = Callable[..., str]


def gibberish(seed: object, count: int = 40) -> str:
    """Words that no other seed has in this order."""
    rng = random.Random(str(seed))
    return " ".join("".join(rng.choices(_SYLLABLES, k=3)) for _ in range(count))


@pytest.fixture(scope="session")
def words() -> Words:
    return gibberish


@pytest.fixture(scope="session")
def make_label() -> MakeLabel:
    """A label of conversation `name`; `said` alternates between user and assistant. Like names give like labels."""

    def make(name: str, *said: str, by: str = "ann", number: int = 0, **changes: Any) -> QueuedLabel:
        tenant = changes.get("tenant_id", "t")

        def of(kind: str, *more: object) -> UUID:
            return uuid5(_NAMESPACE, "/".join(map(str, (kind, tenant, name, *more))))

        texts: Sequence[str] = said or (f"please {gibberish(name, 5)}", gibberish(name))
        roles = ("user", "assistant")
        known: dict[str, Any] = {
            "label_id": of("label", by, number),
            "case_id": of("case"),
            "tenant_id": tenant,
            "conversation_id": name,
            "event_id": f"e-{name}",
            "verdict_id": of("verdict"),
            "disposition": "confirmed",
            "category": "deception",
            "messages": [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)],
            "source": "triage",
            "reviewer": by,
            "labelled_at": _BEGAN + timedelta(minutes=number),
        }
        return QueuedLabel(**{**known, **changes})

    return make
