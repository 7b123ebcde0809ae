"""Transcripts, verdicts and dead letters in, rows out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.severity import Severity
from detectors.codec import decode_event, decode_verdict
from detectors.errors import RecordError
from detectors.verdict import Verdict
from services.archive import Archivist
from services.dead_letters import DeadLetter, dead_letter, from_record
from services.metrics import RecorderMetrics
from services.records import Record
from services.store import Store
from services.store.conversations import RedactedEvent
from services.stream import Handled

_REPORT_EVERY: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch by kind. `unreadable` are verdicts that are none: dead letters of the verdict topic. `skipped` counts
    transcripts of which nothing is kept: probes, and those that the scorer makes dead letters of.
    """

    verdicts: Sequence[Verdict]
    letters: Sequence[DeadLetter]
    unreadable: Sequence[DeadLetter]
    transcripts: Sequence[RedactedEvent] = ()
    skipped: int = 0


class Recorder:
    """A `Handler` around the store. Verdicts come from `verdict_topic`, transcripts from `transcript_topic`; on every
    other topic it reads dead letters. Transcripts are kept as `archivist` leaves them; without one they are not kept.
    """

    def __init__(
        self,
        store: Store,
        *,
        verdict_topic: str,
        metrics: RecorderMetrics,
        transcript_topic: str | None = None,
        archivist: Archivist | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._verdict_topic = verdict_topic
        self._transcript_topic = transcript_topic
        self._archivist = archivist
        self._metrics = metrics
        self._clock = clock
        self._reported_at: datetime | None = None
        self._waits_seen = clock()

    def prepare(self, records: Sequence[Record]) -> DecodedBatch:
        """Decodes and redacts."""
        verdicts: list[Verdict] = []
        letters: list[DeadLetter] = []
        unreadable: list[DeadLetter] = []
        transcripts: list[RedactedEvent] = []
        skipped = 0
        for record in records:
            if record.topic == self._transcript_topic:
                event = self._transcript(record)
                transcripts += [event] if event else []
                skipped += event is None
            elif record.topic != self._verdict_topic:
                letters.append(from_record(record))
            else:
                try:
                    verdicts.append(decode_verdict(record.value or b""))
                except RecordError as error:
                    unreadable.append(dead_letter(record, error.code, error.reason, self._clock()))
        return DecodedBatch(verdicts, letters, unreadable, transcripts, skipped)

    def _transcript(self, record: Record) -> RedactedEvent | None:
        """What is kept of a transcript. What cannot be read is the scorer's to bury, and probes are nobody's."""
        try:
            event = decode_event(record.value or b"")
        except RecordError:
            return None
        return None if self._archivist is None or event.synthetic else self._archivist.redacted(event)

    def complete(self, prepared: DecodedBatch) -> Handled:
        """Writes, in one transaction. What was written before stays as it is."""
        now = self._clock()
        new = self._store.record(prepared.verdicts, prepared.letters, prepared.transcripts, now=now)
        self._metrics.known.inc(len(prepared.verdicts) - new)
        statuses = Counter(verdict.status.value for verdict in prepared.verdicts if not verdict.synthetic)
        for status, count in statuses.items():
            self._metrics.recorded.labels(status).inc(count)
        self._metrics.transcripts.labels("kept").inc(len(prepared.transcripts))
        self._metrics.transcripts.labels("skipped").inc(prepared.skipped)
        self._report(now)
        recorded = len(prepared.verdicts) + len(prepared.letters) + len(prepared.transcripts)
        outcomes = {"recorded": recorded, "skipped": prepared.skipped}
        return Handled(
            dead_letters=prepared.unreadable, outcomes={name: count for name, count in outcomes.items() if count}
        )

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
