"""The scorer as it is deployed, over a topic that is full before it starts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from servers import BenchError, Place, RecordCount, Work, wait_for
from workload import preload

from detectors.codec import decode_verdict
from detectors.transcript import TranscriptEvent
from services.kafka import read_topic
from services.settings import Settings

_STEADY_FROM = 1
"""The first batch is left out: it waits for the process to start, and its models run for the first time."""
_STEADY_TO = -1
"""The last is left out too: nothing is being prepared beside it."""


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """Events that were judged together, and when the last of their verdicts was handed to the Kafka client."""

    event_ids: list[str]
    produced_at: datetime


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """One run. `seconds` is what the steady batches took; `work` covers the whole run."""

    batches: list[ScoredBatch]
    work: Work

    @property
    def steady(self) -> list[ScoredBatch]:
        return self.batches[_STEADY_FROM:_STEADY_TO]

    @property
    def seconds(self) -> float:
        return (self.steady[-1].produced_at - self.batches[_STEADY_FROM - 1].produced_at).total_seconds()

    @property
    def events(self) -> int:
        return sum(len(batch.event_ids) for batch in self.steady)


def measure(place: Place, settings: Settings, workload: Sequence[TranscriptEvent]) -> EndToEnd:
    """`workload` through Kafka, scorer and Kafka again."""
    preload(settings, workload)
    with place.service("score-stream", settings) as scorer, RecordCount(settings, "verdicts") as verdicts:
        wait_for(len(workload), verdicts, scorer.child)
        work = scorer.work()
    batches = _batches(settings)
    if len(batches) < 3:
        raise BenchError(f"{len(workload)} events made {len(batches)} batches: too few for a steady state")
    return EndToEnd(batches, work)


def _batches(settings: Settings) -> list[ScoredBatch]:
    """The scorer's own batches, in order: a batch is judged at one time, which all of its verdicts carry."""
    ids: dict[datetime, list[str]] = defaultdict(list)
    produced: dict[datetime, datetime] = {}
    for record in read_topic(settings, settings.topic("verdicts")):
        verdict = decode_verdict(record.value or b"")
        ids[verdict.decided_at].append(verdict.event_id)
        produced[verdict.decided_at] = max(record.timestamp, produced.get(verdict.decided_at, record.timestamp))
    return [ScoredBatch(ids[moment], produced[moment]) for moment in sorted(ids)]
