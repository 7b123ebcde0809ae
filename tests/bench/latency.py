"""How long an event waits for its verdict to be readable in the database, at a steady rate."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import numpy as np
from servers import Place, wait_for
from workload import transcript_record

from detectors.transcript import TranscriptEvent
from services.kafka import KafkaSink
from services.schema import upgrade
from services.settings import Settings
from services.store import open_engine

_LOOK_EVERY = 0.005
_WARM_UP = 8


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from when an event was due to be produced to when another connection could read its row."""

    events_per_second: float
    events: int
    p50: float
    p95: float
    p99: float
    largest: float


def measure(
    place: Place, settings: Settings, workload: Sequence[TranscriptEvent], *, events_per_second: float
) -> Latency:
    """`workload` at a constant rate, its first events as a warm-up."""
    upgrade(open_engine(settings.database_url.get_secret_value()))  # so that there is something to watch
    with (
        place.service("record", settings) as recorder,
        place.service("score-stream", settings) as scorer,
        KafkaSink(settings) as sink,
        _Watch(place.database(settings.topic_prefix)) as watch,
    ):
        warm_up, measured = workload[:_WARM_UP], workload[_WARM_UP:]
        for number, event in enumerate(warm_up, start=1):  # one at a time: all have to be done before the clock starts
            sink.deliver([transcript_record(event, settings)])
            wait_for(number, watch.count, recorder.child, scorer.child)
        due = _produce(sink, settings, measured, 1 / events_per_second)
        wait_for(len(workload), watch.count, recorder.child, scorer.child)
        seconds = [watch.seen[event_id] - moment for event_id, moment in due.items()]
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99]).tolist()
    return Latency(events_per_second, len(seconds), p50, p95, p99, max(seconds))


def _produce(
    sink: KafkaSink, settings: Settings, workload: Sequence[TranscriptEvent], period: float
) -> dict[str, float]:
    """Event id → when it was due. Where producing falls behind, the wait counts: it is not left out of the figures."""
    records = [transcript_record(event, settings) for event in workload]
    began = time.monotonic() + period
    due = {event.event_id: began + number * period for number, event in enumerate(workload)}
    for record, moment in zip(records, due.values(), strict=True):
        time.sleep(max(0.0, moment - time.monotonic()))
        sink.deliver([record])
    return due


class _Watch:
    """Sees rows when they are committed: a reader of its own on the recorder's database."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._stop = Event()
        self._thread = Thread(target=self._look, name="watch", daemon=True)
        self.seen: dict[str, float] = {}

    def count(self) -> int:
        return len(self.seen)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        query = "SELECT rowid, event_id FROM verdicts WHERE rowid > ? ORDER BY rowid"
        with closing(sqlite3.connect(self._database, timeout=10)) as connection:
            last, version = 0, -1
            while not self._stop.wait(_LOOK_EVERY):
                latest = connection.execute("PRAGMA data_version").fetchone()[0]
                if latest == version:
                    continue
                version = latest
                for row, event_id in connection.execute(query, (last,)).fetchall():
                    self.seen[event_id] = time.monotonic()
                    last = row
