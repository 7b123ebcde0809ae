"""What a child of the conductor is watched by: the lease is kept while it works."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from services.errors import TransientError
from services.retraining.ledger import Ledger
from services.retraining.reporting import Reporting
from services.retraining.run import Run

_TELL_EVERY: Final = timedelta(seconds=1)


class Grip:
    """Says whether a child may go on. About once a second it asks `hold` whether this process still drives."""

    def __init__(self, stop: Event, hold: Callable[[], bool]) -> None:
        self._stop = stop
        self._hold = hold
        self._due = time.monotonic()

    def beat(self) -> bool:
        """A database that is away stops nobody: nothing is kept without it."""
        if self._stop.is_set():
            return False
        if time.monotonic() < self._due:
            return True
        self._due = time.monotonic() + _TELL_EVERY.total_seconds()
        try:
            return self._hold()
        except TransientError:
            return True


class Pulse:
    """Says how far a run's stage is, and keeps the lease with it."""

    def __init__(self, ledger: Ledger, reporting: Reporting, run: Run, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._reporting = reporting
        self._run = run
        self._clock = clock
        self._told = (run.progress, "")

    def told(self, progress: float, said: str) -> None:
        self._told = (progress, said)

    def hold(self) -> bool:
        progress, said = self._told
        self._reporting.progress(progress)
        return self._ledger.told(self._run, progress, said, self._clock())
