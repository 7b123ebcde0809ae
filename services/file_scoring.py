"""Scores the conversations of files, in micro-batches like the stream's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from detectors.detector import Detector, PreparedEvent
from detectors.errors import RecordError
from detectors.verdict import Verdict
from services.detection import configured_detector
from services.files import read_lines
from services.sequence import SequenceWatch
from services.settings import Settings

_WINDOWS_AT_ONCE = 128  # bounds how long a verdict waits for the others of its batch


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """The verdict on one line of a file, or why there is none."""

    place: str
    verdict: Verdict | None
    error: RecordError | None = None


def score_files(settings: Settings, files: Iterable[str], *, now: Callable[[], datetime]) -> Iterator[ScoredLine]:
    """One item for each line that is not blank, in order."""
    detector = configured_detector(settings)
    sequence = SequenceWatch()
    waiting: list[tuple[str, PreparedEvent | RecordError]] = []
    windows = 0
    for line in read_lines(files, now=now()):
        if line.event is None:
            waiting.append((line.place, line.error or RecordError("bad_file", "unreadable")))
        else:
            prepared = detector.prepare(line.event, sequence.caveat(line.event))
            waiting.append((line.place, prepared))
            windows += len(prepared.windows.windows)
        if len(waiting) >= settings.batch_max_records or windows >= _WINDOWS_AT_ONCE:
            yield from _judged(detector, waiting, now())
            waiting, windows = [], 0
    yield from _judged(detector, waiting, now())


def _judged(
    detector: Detector, waiting: list[tuple[str, PreparedEvent | RecordError]], now: datetime
) -> Iterator[ScoredLine]:
    prepared = [item for _, item in waiting if isinstance(item, PreparedEvent)]
    verdicts = iter(detector.judge(prepared, now=now).verdicts)
    for place, item in waiting:
        yield ScoredLine(place, None, item) if isinstance(item, RecordError) else ScoredLine(place, next(verdicts))
