"""Transcripts in, verdicts out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from alerting.severity import severity_of
from detectors.codec import decode_event, encode_verdict
from detectors.errors import RecordError
from detectors.observation import Observation
from detectors.taxonomy import Category
from detectors.verdict import Status, Verdict
from services.arms.judging import Timer, judge
from services.arms.serving import Serving
from services.arms.work import Heard, Work, prepare
from services.dead_letters import DeadLetter, dead_letter
from services.metrics import ScorerMetrics
from services.records import Outgoing, Record
from services.sequence import SequenceWatch
from services.stream import Handled


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """What could be read of a batch, and what could not."""

    work: Work
    dead_letters: Sequence[DeadLetter]


class Scorer:
    """A `Handler` around the detectors that serve. Those that a batch was prepared for judge it."""

    def __init__(
        self,
        serving: Callable[[], Serving],
        *,
        verdict_topic: str,
        max_bytes: int,
        metrics: ScorerMetrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Timer = time.perf_counter,
    ) -> None:
        """`serving` says which detectors serve now; `timer` counts seconds."""
        self._serving = serving
        self._verdict_topic = verdict_topic
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._clock = clock
        self._timer = timer
        self._sequence = SequenceWatch()

    def prepare(self, records: Sequence[Record]) -> PreparedBatch:
        """Decodes and tokenises."""
        serving = self._serving()
        events: list[Heard] = []
        dead: list[DeadLetter] = []
        for record in records:
            try:
                events.append(self._heard(record))
            except RecordError as error:
                dead.append(dead_letter(record, error.code, error.reason, self._clock()))
        return PreparedBatch(prepare(serving, events), dead)

    def _heard(self, record: Record) -> Heard:
        if not record.value:
            raise RecordError("no_value", "the record is empty")
        if len(record.value) > self._max_bytes:
            raise RecordError("too_large", f"{len(record.value):,} bytes, the limit is {self._max_bytes:,}")
        event = decode_event(record.value)
        return Heard(event, self._sequence.caveat(event))

    def complete(self, prepared: PreparedBatch) -> Handled:
        """Judges."""
        judged = judge(prepared.work, now=self._clock(), timer=self._timer)
        for effort in judged.efforts:
            self._metrics.worked(effort.arm, effort.judgement, effort.tokens)
        self._metrics.rescued.inc(judged.rescued)
        verdicts = [*judged.deciding, *judged.beside]
        for verdict in verdicts:
            if not verdict.synthetic:  # probes have metrics of their own
                self._count(verdict)
        return Handled(
            outgoing=[self._outgoing(verdict) for verdict in verdicts],
            dead_letters=prepared.dead_letters,
            outcomes=Counter(verdict.status.value for verdict in judged.deciding),
        )

    def _count(self, verdict: Verdict) -> None:
        metrics = self._metrics
        observed = verdict.observed or Observation()
        model_version = metrics.model_version(observed.model.version or observed.model.name)
        arm, status = verdict.arm.value, verdict.status.value
        metrics.verdicts.labels(status, model_version, arm).inc()
        if verdict.cause:
            metrics.incomplete.labels(status, verdict.cause.value, arm).inc()
        if verdict.flagged:
            metrics.flagged.labels(severity_of(verdict.flagged).value, model_version, arm).inc()
        for label in verdict.flagged:
            metrics.flags.labels(label, model_version, arm).inc()
        if verdict.scores.get(Category.OVER_REFUSAL, 0.0) >= verdict.thresholds.get(Category.OVER_REFUSAL, 2.0):
            metrics.over_refusals.labels(model_version, arm).inc()
        if verdict.arm.decides:
            self._count_event(verdict, model_version)

    def _count_event(self, verdict: Verdict, model_version: str) -> None:
        """Once for each event, whoever else judges it."""
        metrics = self._metrics
        metrics.detection_seconds.observe(max(0.0, (verdict.decided_at - verdict.occurred_at).total_seconds()))
        if verdict.misalignment is not None:
            metrics.misalignment.labels(model_version).observe(verdict.misalignment)
        outcome = "unscored" if verdict.status is Status.UNSCORED else "flagged" if verdict.flagged else "clear"
        metrics.tenant_events.labels(metrics.tenant(verdict.tenant_id), outcome).inc()

    def _outgoing(self, verdict: Verdict) -> Outgoing:
        key = f"{verdict.tenant_id}/{verdict.conversation_id}".encode()
        return Outgoing(self._verdict_topic, key, encode_verdict(verdict))
