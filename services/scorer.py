"""Transcripts in, verdicts out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from alerting.severity import severity_of
from detectors.codec import decode_event, encode_verdict
from detectors.detector import Detector, PreparedEvent
from detectors.errors import RecordError
from detectors.observation import Observation
from detectors.taxonomy import Category
from detectors.verdict import Status, Verdict
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
        self._metrics.tokens.inc(sum(len(window) for item in prepared.events for window in item.windows.windows))
        for verdict in judgement.verdicts:
            if not verdict.synthetic:  # probes have metrics of their own
                self._count(verdict)
        return Handled(
            outgoing=[self._outgoing(verdict) for verdict in judgement.verdicts],
            dead_letters=prepared.dead_letters,
            outcomes=Counter(verdict.status.value for verdict in judgement.verdicts),
        )

    def _count(self, verdict: Verdict) -> None:
        metrics = self._metrics
        observed = verdict.observed or Observation()
        model_version = metrics.model_version(observed.model.version or observed.model.name)
        arm, status = verdict.arm.value, verdict.status.value
        metrics.verdicts.labels(status, model_version, arm).inc()
        metrics.detection_seconds.observe(max(0.0, (verdict.decided_at - verdict.occurred_at).total_seconds()))
        if verdict.cause:
            metrics.incomplete.labels(status, verdict.cause.value).inc()
        if verdict.misalignment is not None:
            metrics.misalignment.labels(model_version).observe(verdict.misalignment)
        if verdict.flagged:
            metrics.flagged.labels(severity_of(verdict.flagged).value, model_version, arm).inc()
        for label in verdict.flagged:
            metrics.flags.labels(label, model_version, arm).inc()
        if verdict.scores.get(Category.OVER_REFUSAL, 0.0) >= verdict.thresholds.get(Category.OVER_REFUSAL, 2.0):
            metrics.over_refusals.labels(model_version, arm).inc()
        outcome = "unscored" if verdict.status is Status.UNSCORED else "flagged" if verdict.flagged else "clear"
        metrics.tenant_events.labels(metrics.tenant(verdict.tenant_id), outcome).inc()

    def _outgoing(self, verdict: Verdict) -> Outgoing:
        key = f"{verdict.tenant_id}/{verdict.conversation_id}".encode()
        return Outgoing(self._verdict_topic, key, encode_verdict(verdict))
