"""A look at the rollout for those who only want to see: cheap, however many of them ask at once."""

from __future__ import annotations

from collections.abc import Callable
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
HISTORY: Final = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """`compared` is None without a candidate, and while somebody else is counting for the first time. `history`: the
    last revisions, newest first.
    """

    rollout: Rollout
    compared: Compared | None
    history: tuple[Rollout, ...]


class Lookout:
    """May be asked by several threads: one of them counts, and the others get what was counted before."""

    def __init__(self, database: Database, revisions: Revisions, policy: Policy, clock: Callable[[], datetime]) -> None:
        self._revisions = revisions
        self._tallies = Tallies(database)
        self._policy = policy
        self._clock = clock
        self._counting = Lock()
        self._kept: tuple[Rollout, Compared] | None = None
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
        now, kept = self._clock(), self._kept
        mine = kept[1] if kept is not None and kept[0] == rollout else None
        if mine is not None and now - mine.counted_at < _FRESH_FOR:
            return mine
        if not self._counting.acquire(blocking=False):
            return mine
        try:
            found = compared(rollout, self._tallies.compare(rollout, now), self._policy, now)
            self._kept = (rollout, found)
            return found
        finally:
            self._counting.release()
