"""Looks at the arms, and moves the rollout when they say so: one process at a time, and whoever dies loses nothing.

A look: lease → tell of what was moved and not told of → compare → decide → move in the registry → tell of it. A move
counts from when the registry has it. A process that dies behind that leaves it to the next look to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Event
from typing import Final, Protocol

from deploy.rollout.comparison import Comparison
from deploy.rollout.state import Rollout
from services.errors import ServicesError, TransientError
from services.logs import get_logger
from services.rollout.errors import MovedMeanwhile
from services.rollout.journal import Journal
from services.rollout.measures import Measures
from services.rollout.revisions import Revisions
from services.rollout.tallies import Tallies
from services.store import Database, leases

LEASE: Final = "rollout"
_LONGEST_PAUSE: Final = timedelta(seconds=60)
_MOST_STEPS: Final = 100


class Judge(Protocol):
    """What `deploy.rollout` makes of a comparison."""

    def decide(self, rollout: Rollout, comparison: Comparison, now: datetime) -> Rollout | None:
        """The next revision; None: go on as it is."""

    def p_values(self, rollout: Rollout, comparison: Comparison) -> Mapping[str, float]:
        """Of harm, by what it is about."""


class Controller:
    """Any number may run; one of them decides."""

    def __init__(
        self,
        database: Database,
        revisions: Revisions,
        journal: Journal,
        judge: Judge,
        measures: Measures,
        *,
        holder: str,
        lease_for: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        """`holder` is this one's name, and nobody else's."""
        self._database = database
        self._revisions = revisions
        self._journal = journal
        self._judge = judge
        self._measures = measures
        self._tallies = Tallies(database)
        self._holder = holder
        self._lease_for = lease_for
        self._clock = clock
        self._counted: int | None = None
        self._log = get_logger("rollout")

    def look(self) -> Rollout | None:
        """How the rollout stands after this look; None where another process decides, or nothing was rolled out.

        Raises `TransientError` where registry or database are away, and `RegistryUnusable`.
        """
        now = self._clock()
        if not self._takes_lease(now):
            self._measures.nothing()
            self._counted = None
            return None
        told = self._journal.catch_up(now)
        current = self._revisions.newest()
        if current is None:
            return None
        self._count_steps(current, told)
        self._measures.stands(current)
        following = self._decided(current, now)
        if following is None:
            return current
        self._move(following)
        return following

    def _takes_lease(self, now: datetime) -> bool:
        with self._database.write() as tx:
            return leases.take(tx, LEASE, self._holder, now=now, until=now + self._lease_for)

    def _decided(self, current: Rollout, now: datetime) -> Rollout | None:
        if current.candidate is None:
            self._measures.nothing_compared()
            return None
        comparison = self._tallies.compare(current, now)
        self._measures.compared(current, comparison, self._judge.p_values(current, comparison))
        return self._judge.decide(current, comparison, now)

    def _move(self, following: Rollout) -> None:
        # 1. From here on it counts.
        self._revisions.move(following)
        # 2. Told of once, now or at the next look.
        told = self._journal.catch_up(self._clock())
        self._count_steps(following, told)
        self._measures.stands(following)
        facts = {"step": following.step.value, "stage": following.stage.value, "revision": following.revision}
        self._log.info("moved", **facts, reason=following.reason)

    def _count_steps(self, newest: Rollout, told: Sequence[Rollout]) -> None:
        """Each once in the life of this process: those since its last look, whoever took them. At first, those that
        nobody had told of.
        """
        fresh: Sequence[Rollout] = told
        if self._counted is not None:
            behind = min(newest.revision - self._counted, _MOST_STEPS)
            fresh = self._revisions.latest(behind) if behind > 0 else ()
        self._counted = newest.revision
        self._measures.steps(fresh)

    def run(self, stop: Event, every: timedelta) -> None:
        """Until `stop`. Whatever goes wrong is tried again."""
        failures = 0
        while not stop.is_set():
            try:
                self.look()
                pause, failures = every, 0
            except MovedMeanwhile:
                pause = every
            except Exception as error:
                pause = min(max(_LONGEST_PAUSE, every), every * 2 ** min(failures, 10))
                failures += 1
                self._tell(error, pause)
            stop.wait(pause.total_seconds())
        self._leave()

    def _leave(self) -> None:
        """Lets another one go on at once."""
        try:
            with self._database.write() as tx:
                leases.give_back(tx, LEASE, self._holder)
        except TransientError:
            self._log.info("the database is away; the lease runs out by itself")

    def _tell(self, error: Exception, pause: timedelta) -> None:
        """What others raise may quote what they were given: of that, only the name is told."""
        reason = str(error) if isinstance(error, ServicesError) else type(error).__name__
        tell = self._log.warning if isinstance(error, TransientError) else self._log.error
        tell("the rollout was not looked at", reason=reason, again_in_seconds=pause.total_seconds())
