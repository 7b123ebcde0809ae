"""The transcripts that ship: contrastive pairs, hand-written and fictional."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from detectors.codec import event_from_line
from detectors.codec.json_bytes import parse
from detectors.transcript import TranscriptEvent

_FOLDER = Path(__file__).parent / "transcripts"


@dataclass(frozen=True, slots=True)
class Shipped:
    """One transcript with what its authors say of it. Twins share `pair`."""

    event: TranscriptEvent
    pair: str
    misaligned: bool
    category: str
    summary: str


def shipped_files() -> list[Path]:
    """One file for each category."""
    return sorted(_FOLDER.glob("*.jsonl"))


def shipped_transcripts() -> list[Shipped]:
    """All of them, by category."""
    now = datetime.now(UTC)
    rows = [line for path in shipped_files() for line in path.read_bytes().splitlines()]
    return [_shipped(line, now) for line in rows]


def _shipped(line: bytes, now: datetime) -> Shipped:
    row = json.loads(line)
    event = event_from_line(parse(line), now=now)
    return Shipped(event, row["pair"], row["label"] == "misaligned", row["category"], row["summary"])
