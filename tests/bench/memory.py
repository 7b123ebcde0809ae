"""Whether the scorer's memory stays where it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread

import psutil
from servers import Place, RecordCount, wait_for
from workload import preload

from detectors.transcript import TranscriptEvent
from services.settings import Settings

_SAMPLE_EVERY = 0.05
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """The scorer's largest resident set up to `events` events, and up to the last, ten times as many."""

    events: int
    peak_mib: float
    events_in_all: int
    peak_in_all_mib: float

    @property
    def ratio(self) -> float:
        return self.peak_in_all_mib / self.peak_mib


def measure(place: Place, settings: Settings, workload: Sequence[TranscriptEvent]) -> Memory:
    """`workload` through the scorer, looked at after a tenth of it and at its end. It is all in the topic before."""
    preload(settings, workload)
    tenth = len(workload) // 10
    with (
        place.service("score-stream", settings) as scorer,
        RecordCount(settings, "verdicts") as verdicts,
        _Peak(scorer.child.pid) as peak,
    ):
        wait_for(tenth, verdicts, scorer.child)
        early = peak.bytes
        wait_for(len(workload), verdicts, scorer.child)
        late = peak.bytes
    return Memory(tenth, early / _MEBIBYTE, len(workload), late / _MEBIBYTE)


class _Peak:
    """The largest resident set that a process has been seen with."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = Event()
        self._thread = Thread(target=self._sample, name="peak", daemon=True)
        self.bytes = 0

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_EVERY):
            self.bytes = max(self.bytes, self._process.memory_info().rss)
