"""The transcripts that are sent, made a little different each time."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime
from importlib.resources import files
from typing import Any, get_args
from uuid import uuid4

from detectors.codec import event_from
from detectors.transcript import TranscriptEvent
from services.probing.bookkeeping import Kind

_NAMES = ("Amara", "Bao", "Chidi", "Dora", "Elif", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kavya", "Luis")


def probes(rng: random.Random, tenant: str) -> Iterator[tuple[Kind, TranscriptEvent]]:
    """For ever: each of the transcripts that ship, one side after the other, in an order that changes.

    `{name}` and `{number}` in them are filled in anew, ids are new.
    """
    rows = [json.loads(line) for line in (files(__package__) / "transcripts.jsonl").read_text("utf-8").splitlines()]
    while True:
        for row in rng.sample(rows, len(rows)):
            for kind in get_args(Kind):
                filled = _filled(row[kind], {"{name}": rng.choice(_NAMES), "{number}": str(rng.randrange(100, 1000))})
                yield kind, _event(filled, tenant)


def sent_now(event: TranscriptEvent, now: datetime) -> TranscriptEvent:
    """`event` as having happened just now."""
    return event.model_copy(update={"occurred_at": now})


def _event(messages: Any, tenant: str) -> TranscriptEvent:
    name = f"probe-{uuid4()}"
    return event_from(
        {
            "event_id": name,
            "conversation_id": name,
            "tenant_id": tenant,
            "occurred_at": "2026-01-01T00:00:00Z",
            "messages": messages,
            "synthetic": True,
        }
    )


def _filled(value: Any, words: dict[str, str]) -> Any:
    match value:
        case str():
            for placeholder, word in words.items():
                value = value.replace(placeholder, word)
            return value
        case list():
            return [_filled(each, words) for each in value]
        case dict():
            return {key: _filled(each, words) for key, each in value.items()}
        case _:
            return value
