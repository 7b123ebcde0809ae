"""The one loop of every consumer: poll → prepare → complete → deliver → commit.

*Prepared* records have been decoded and tokenised, in a thread of its own, while the batch before is completed.
*Delivered* means acknowledged by the broker. Only then are offsets *committed*: a crash anywhere leads to doing
work again, which ids make harmless, and never to a gap.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Final, Generic, Protocol, TypeVar

from services.dead_letters import DeadLetter, FloodGate, to_record
from services.errors import TransientError
from services.metrics import StreamMetrics
from services.records import Outgoing, Record

_POLL_RECORDS: Final = 8
_IDLE: Final = timedelta(milliseconds=200)
_FIRST_BACKOFF: Final = 0.1
_LONGEST_BACKOFF: Final = 5.0

Prepared = TypeVar("Prepared")
Result = TypeVar("Result")


class Source(Protocol):
    """Where records come from. Only ever used from the thread that runs the stream."""

    def poll(self, max_records: int, timeout: timedelta) -> list[Record]:
        """What is there, waiting up to `timeout` for the first record."""

    def commit(self, records: Sequence[Record]) -> None:
        """Never read these, nor what lies before them on their partitions, again. Raises `TransientError`."""


class Sink(Protocol):
    """Where records go."""

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        """Returns once all are acknowledged. Raises `TransientError` when that is unknown."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of a batch. `outcomes` counts its records by outcome; dead letters count themselves."""

    outgoing: Sequence[Outgoing] = ()
    dead_letters: Sequence[DeadLetter] = ()
    outcomes: dict[str, int] = field(default_factory=dict)


class Handler(Protocol[Prepared]):
    """What is done with records. Both steps may be repeated for the same records."""

    def prepare(self, records: Sequence[Record]) -> Prepared:
        """The part that can overlap with the batch before. Called in order, one batch at a time."""

    def complete(self, prepared: Prepared) -> Handled:
        """The rest. Raises `TransientError` where it is worth trying again."""


@dataclass(frozen=True, slots=True)
class Batching:
    """A batch is full at `max_records` or `max_bytes`, and does not wait longer than `max_age` for that."""

    max_records: int
    max_bytes: int
    max_age: timedelta


@dataclass(frozen=True, slots=True)
class _Staged(Generic[Prepared]):
    records: list[Record]
    prepared: Future[Prepared]


class Stream(Generic[Prepared]):
    """Runs one handler between a source and a sink."""

    def __init__(
        self,
        source: Source,
        handler: Handler[Prepared],
        sink: Sink,
        *,
        batching: Batching,
        retry_for: timedelta,
        flood_gate: FloodGate,
        max_dead_letter_bytes: int,
        metrics: StreamMetrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        """`idle` is called between polls while nothing comes; a `TransientError` of it is for the next time."""
        self._source = source
        self._handler = handler
        self._sink = sink
        self._batching = batching
        self._retry_for = retry_for
        self._flood_gate = flood_gate
        self._max_dead_letter_bytes = max_dead_letter_bytes
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        self._idle = idle

    def run(self, stop: Event) -> None:
        """Until `stop` is set; what has been polled by then is still delivered and committed."""
        with ThreadPoolExecutor(1, thread_name_prefix="prepare") as preparing:
            staged: _Staged[Prepared] | None = None
            while staged or not stop.is_set():
                records = [] if stop.is_set() else self._fill(wait=staged is None)
                following = None
                if records:
                    following = _Staged(records, preparing.submit(self._prepare, records))
                if staged:
                    self._settle(staged)
                elif not following:
                    self._rest()
                staged = following

    def _prepare(self, records: Sequence[Record]) -> Prepared:
        return self._timed("prepare", lambda: self._handler.prepare(records))

    def _fill(self, *, wait: bool) -> list[Record]:
        """A batch; with `wait`, one that had its time to fill. Empty where nothing came."""
        limits = self._batching
        records = self._source.poll(min(_POLL_RECORDS, limits.max_records), _IDLE if wait else timedelta(0))
        until = time.monotonic() + (limits.max_age.total_seconds() if wait else 0)
        size = sum(len(record.value or b"") for record in records)
        while records and len(records) < limits.max_records and size < limits.max_bytes:
            left = max(0.0, until - time.monotonic())
            more = self._source.poll(min(_POLL_RECORDS, limits.max_records - len(records)), timedelta(seconds=left))
            if not more and not left:
                break
            records += more
            size += sum(len(record.value or b"") for record in more)
        return records

    def _rest(self) -> None:
        try:
            self._idle()
        except TransientError:
            self._metrics.retries.labels("idle").inc()

    def _settle(self, staged: _Staged[Prepared]) -> None:
        # 1. The rest of the work.
        prepared = staged.prepared.result()
        handled = self._retrying("complete", lambda: self._handler.complete(prepared))
        # 2. Stop rather than dead-letter everything.
        try:
            self._flood_gate.admit(len(handled.dead_letters), len(staged.records))
        finally:
            self._metrics.dead_letter_share.set(self._flood_gate.share)
        # 3. Deliver, and wait until the broker has it all.
        outgoing = [*handled.outgoing, *self._buried(handled.dead_letters)]
        if outgoing:
            self._retrying("deliver", lambda: self._sink.deliver(outgoing))
        # 4. Commit.
        self._retrying("commit", lambda: self._source.commit(staged.records))
        # 5. Count what is certain now.
        self._count(staged.records, handled)

    def _buried(self, letters: Sequence[DeadLetter]) -> list[Outgoing]:
        return [to_record(letter, self._max_dead_letter_bytes) for letter in letters]

    def _retrying(self, step: str, attempt: Callable[[], Result]) -> Result:
        deadline = time.monotonic() + self._retry_for.total_seconds()
        backoff = _FIRST_BACKOFF
        while True:
            try:
                return self._timed(step, attempt)
            except TransientError:
                if time.monotonic() >= deadline:
                    raise
                self._metrics.retries.labels(step).inc()
                self._sleep(backoff)
                backoff = min(2 * backoff, _LONGEST_BACKOFF)

    def _timed(self, step: str, work: Callable[[], Result]) -> Result:
        with self._metrics.step_seconds.labels(step).time():
            return work()

    def _count(self, records: Sequence[Record], handled: Handled) -> None:
        now = self._clock()
        self._metrics.batch_records.observe(len(records))
        for record in records:
            self._metrics.record_age_seconds.observe(max(0.0, (now - record.timestamp).total_seconds()))
        for outcome, count in handled.outcomes.items():
            self._metrics.records.labels(outcome).inc(count)
        for letter in handled.dead_letters:
            self._metrics.records.labels("dead_lettered").inc()
            self._metrics.dead_letters.labels(letter.code).inc()
