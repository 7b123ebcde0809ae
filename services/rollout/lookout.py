"""A look at the rollout for those who only want to see: cheap, however many of them ask at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from deploy.rollout.policy import Policy
from deploy.rollout.state import Rollout
from services.rollout.revisions import Revisions
from services.rollout.standing import Compared, compared
from services.rollout.tallies import Tallies
from services.store import Database

_FRESH_FOR: Final = timedelta(seconds=5)
_PATIENCE: Final = timedelta(seconds=2)
HISTORY: Final = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """`compared` is None without a candidate, and while it is counted for the first time, if that takes long.
    `history`: the last revisions, newest first.
    """

    rollout: Rollout
    compared: Compared | None
    history: tuple[Rollout, ...]


@dataclass(frozen=True, slots=True)
class _Counted:
    rollout: Rollout
    compared: Compared


class Lookout:
    """May be asked by several threads: one thread counts for all of them, and nobody waits long for it."""

    def __init__(
        self,
        database: Database,
        revisions: Revisions,
        policy: Policy,
        clock: Callable[[], datetime],
        *,
        patience: timedelta = _PATIENCE,
    ) -> None:
        """`patience`: how long who asks waits for a count that takes longer; then they get the one before, or none."""
        self._revisions = revisions
        self._tallies = Tallies(database)
        self._policy = policy
        self._clock = clock
        self._patience = patience
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="lookout")
        self._lock = Lock()
        self._counting: Future[_Counted] | None = None
        self._kept: _Counted | None = None
        self._history: tuple[Rollout, ...] = ()

    def look(self) -> Seen | None:
        """None where nothing was rolled out. Raises `TransientError` where registry or database are away, and
        `RegistryUnusable`.
        """
        rollout = self._revisions.newest()
        if rollout is None:
            return None
        if not self._history or self._history[0] != rollout:
            self._history = tuple(self._revisions.latest(HISTORY))
        return Seen(rollout, self._compared(rollout), self._history)

    def _compared(self, rollout: Rollout) -> Compared | None:
        if rollout.candidate is None:
            return None
        kept = self._kept
        known = kept.compared if kept is not None and kept.rollout == rollout else None
        if known is not None and self._clock() - known.counted_at < _FRESH_FOR:
            return known
        try:
            counted = self._count_of(rollout).result(self._patience.total_seconds())
        except TimeoutError:
            return known
        return counted.compared if counted.rollout == rollout else known

    def _count_of(self, rollout: Rollout) -> Future[_Counted]:
        """The one that is under way, or a new one."""
        with self._lock:
            if self._counting is None or self._counting.done():
                self._counting = self._worker.submit(self._count, rollout)
            return self._counting

    def _count(self, rollout: Rollout) -> _Counted:
        now = self._clock()
        found = _Counted(rollout, compared(rollout, self._tallies.compare(rollout, now), self._policy, now))
        self._kept = found
        return found
