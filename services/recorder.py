"""Verdicts and dead letters in, rows out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.severity import Severity
from detectors.codec import decode_verdict
from detectors.errors import RecordError
from detectors.verdict import Verdict
from services.dead_letters import DeadLetter, dead_letter, from_record
from services.metrics import RecorderMetrics
from services.records import Record
from services.store import Store
from services.stream import Handled

_REPORT_EVERY: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch by kind. `unreadable` are verdicts that are none: dead letters of the verdict topic."""

    verdicts: Sequence[Verdict]
    letters: Sequence[DeadLetter]
    unreadable: Sequence[DeadLetter]


class Recorder:
    """A `Handler` around the store. Verdicts come from `verdict_topic`; on every other topic it reads dead letters."""

    def __init__(
        self,
        store: Store,
        *,
        verdict_topic: str,
        metrics: RecorderMetrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._verdict_topic = verdict_topic
        self._metrics = metrics
        self._clock = clock
        self._reported_at: datetime | None = None
        self._waits_seen = clock()

    def prepare(self, records: Sequence[Record]) -> DecodedBatch:
        """Decodes."""
        verdicts: list[Verdict] = []
        letters: list[DeadLetter] = []
        unreadable: list[DeadLetter] = []
        for record in records:
            if record.topic != self._verdict_topic:
                letters.append(from_record(record))
                continue
            try:
                verdicts.append(decode_verdict(record.value or b""))
            except RecordError as error:
                unreadable.append(dead_letter(record, error.code, error.reason, self._clock()))
        return DecodedBatch(verdicts, letters, unreadable)

    def complete(self, prepared: DecodedBatch) -> Handled:
        """Writes, in one transaction. What was written before stays as it is."""
        now = self._clock()
        new = self._store.record(prepared.verdicts, prepared.letters, now=now)
        self._metrics.known.inc(len(prepared.verdicts) - new)
        statuses = Counter(verdict.status.value for verdict in prepared.verdicts if not verdict.synthetic)
        for status, count in statuses.items():
            self._metrics.recorded.labels(status).inc(count)
        self._report(now)
        recorded = len(prepared.verdicts) + len(prepared.letters)
        return Handled(dead_letters=prepared.unreadable, outcomes={"recorded": recorded} if recorded else {})

    def report(self) -> None:
        """Brings what is said about cases up to date, at most every 15 seconds: they grow older, and people acknowledge
        them elsewhere, while no verdict comes. Raises `TransientError` without a database.
        """
        self._report(self._clock())

    def _report(self, now: datetime) -> None:
        if self._reported_at is not None and now - self._reported_at < _REPORT_EVERY:
            return
        self._reported_at = now
        found = self._store.open_cases()
        for severity in Severity:
            count, oldest = found.get(severity.value, (0, now))
            self._metrics.open_cases.labels(severity.value).set(count)
            self._metrics.oldest_case.labels(severity.value).set((now - oldest).total_seconds())
        for at, seconds in self._store.waits(self._waits_seen):
            self._metrics.acknowledge_seconds.observe(seconds)
            self._waits_seen = at
