"""Transcripts in, verdicts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from detectors.codec import decode_event, encode_verdict
from detectors.detector import Detector, PreparedEvent
from detectors.errors import RecordError
from detectors.verdict import Verdict
from services.dead_letters import DeadLetter, dead_letter
from services.metrics import ScorerMetrics
from services.records import Outgoing, Record
from services.sequence import SequenceWatch
from services.stream import Handled


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """What could be read of a batch, and what could not."""

    events: Sequence[PreparedEvent]
    dead_letters: Sequence[DeadLetter]


class Scorer:
    """A `Handler` around a detector."""

    def __init__(
        self,
        detector: Detector,
        *,
        verdict_topic: str,
        max_bytes: int,
        metrics: ScorerMetrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._detector = detector
        self._verdict_topic = verdict_topic
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._clock = clock
        self._sequence = SequenceWatch()

    def prepare(self, records: Sequence[Record]) -> PreparedBatch:
        """Decodes and tokenises."""
        events: list[PreparedEvent] = []
        dead: list[DeadLetter] = []
        for record in records:
            try:
                events.append(self._prepared(record))
            except RecordError as error:
                dead.append(dead_letter(record, error.code, error.reason, self._clock()))
        return PreparedBatch(events, dead)

    def _prepared(self, record: Record) -> PreparedEvent:
        if not record.value:
            raise RecordError("no_value", "the record is empty")
        if len(record.value) > self._max_bytes:
            raise RecordError("too_large", f"{len(record.value):,} bytes, the limit is {self._max_bytes:,}")
        event = decode_event(record.value)
        return self._detector.prepare(event, self._sequence.caveat(event))

    def complete(self, prepared: PreparedBatch) -> Handled:
        """Judges."""
        judgement = self._detector.judge(prepared.events, now=self._clock())
        self._metrics.windows.labels("screened").inc(judgement.windows_screened)
        self._metrics.windows.labels("encoded").inc(judgement.windows_encoded)
        self._metrics.windows.labels("audited").inc(judgement.windows_audited)
        self._metrics.windows.labels("missed").inc(judgement.windows_missed)
        for verdict in judgement.verdicts:
            self._metrics.verdicts.labels(verdict.status.value).inc()
            for label in verdict.flagged:
                self._metrics.flags.labels(label).inc()
        return Handled(
            outgoing=[self._outgoing(verdict) for verdict in judgement.verdicts],
            dead_letters=prepared.dead_letters,
            outcomes=Counter(verdict.status.value for verdict in judgement.verdicts),
        )

    def _outgoing(self, verdict: Verdict) -> Outgoing:
        key = f"{verdict.tenant_id}/{verdict.conversation_id}".encode()
        return Outgoing(self._verdict_topic, key, encode_verdict(verdict))
