"""What the database knows of the run under way, in the hands of the one process that drives it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from services.retraining.errors import Interrupted
from services.retraining.run import Run
from services.store import audit, leases, loop, queued_labels
from services.store.database import Database, Transaction

LEASE: Final = "retraining"
SYSTEM: Final = "plumbline"
_BEFORE: Final = 100


class Ledger:
    """Every method is one transaction, and raises `TransientError` where the database is away.

    What changes the run raises `Interrupted` where another process has taken over: that one knows better by now.
    """

    def __init__(self, database: Database, *, holder: str, lease_for: timedelta) -> None:
        """`holder` is this process's name, and nobody else's."""
        self._database = database
        self._holder = holder
        self._lease_for = lease_for

    def hold(self, now: datetime) -> bool:
        """Whether it is this process that drives runs."""
        with self._database.write() as tx:
            return leases.take(tx, LEASE, self._holder, now=now, until=now + self._lease_for)

    def leave(self) -> None:
        """Lets another process go on at once."""
        with self._database.write() as tx:
            leases.give_back(tx, LEASE, self._holder)

    def unfinished(self) -> Run | None:
        with self._database.read() as tx:
            return loop.unfinished(tx)

    def labels(self) -> Iterator[dict[str, Any]]:
        """What a dataset version is made of."""
        with self._database.read() as tx:
            yield from queued_labels.standing(tx)

    def before(self, run: Run) -> list[Run]:
        """Runs before, newest first, as far as anybody cares."""
        with self._database.read() as tx:
            found = loop.latest(tx, limit=_BEFORE)
        return [each for each in found if each.number < run.number]

    def open(self, run: Run, now: datetime) -> Run | None:
        """Starts the run with the new labels; None where one is under way already."""
        with self._database.write() as tx:
            self._mine(tx, now)
            if loop.unfinished(tx) is not None:
                return None
            opened = loop.open_run(tx, run)
            told = {"number": opened.number, "trigger": run.trigger, "reason": run.reason, "mode": run.mode}
            told |= {"champion": run.champion, "new_labels": opened.new_labels}
            audit.append(tx, now, run.requested_by or SYSTEM, "retraining.started", str(run.run_id), told)
        return opened

    def begin(self, run: Run, now: datetime) -> Run:
        """Counts an attempt at the run's stage, before it is made: one that kills us counts as well."""
        begun = replace(run, attempts=run.attempts + 1, progress=0.0)
        with self._database.write() as tx:
            self._mine(tx, now)
            _save(tx, begun)
        return begun

    def told(self, run: Run, progress: float, said: str, now: datetime) -> bool:
        """Keeps how far the stage is; whether this process still drives the run."""
        with self._database.write() as tx:
            if not leases.extend(tx, LEASE, self._holder, until=now + self._lease_for):
                return False
            loop.progress(tx, run.run_id, run.stage, progress, said)
        return True

    def keep(self, after: Run, now: datetime, *, made_of: Collection[UUID] = ()) -> bool:
        """The run as its stage left it: at the next one, at its end, or where it was.

        False where one of the labels that something new was made of has been erased. Whoever erases marks labels first,
        and looks for datasets then; here the dataset stands in its place before labels are looked at. So one of the two
        finds it.
        """
        with self._database.write() as tx:
            self._mine(tx, now)
            if made_of and not queued_labels.erased(tx).isdisjoint(made_of):
                return False
            _save(tx, after)
            if after.outcome is not None:
                self._tell_of_end(tx, after, now)
        return True

    def _tell_of_end(self, tx: Transaction, run: Run, now: datetime) -> None:
        names = ("number", "said", "champion", "dataset", "candidate")
        told = {name: getattr(run, name) for name in names}
        audit.append(tx, now, SYSTEM, f"retraining.{run.outcome}", str(run.run_id), told)

    def _mine(self, tx: Transaction, now: datetime) -> None:
        if not leases.extend(tx, LEASE, self._holder, until=now + self._lease_for):
            raise Interrupted("another process has taken over")


def _save(tx: Transaction, run: Run) -> None:
    if not loop.save(tx, run):
        raise Interrupted("the run has ended elsewhere")
