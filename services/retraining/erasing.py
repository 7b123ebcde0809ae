"""What was erased goes from disk as well, and the audit log says that it did."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Final
from uuid import UUID

from services.logs import get_logger
from services.retraining.run import Run
from services.retraining.shelf import LabelsIn, LeaveOf, Shelf, TakenAway
from services.retraining.successors import Beat
from services.retraining.workshop import Workshop
from services.store import audit, loop, queued_labels
from services.store.database import Database

SYSTEM = "plumbline"
_RUNS: Final = 100


class Erasing:
    """May be used by several threads."""

    def __init__(
        self,
        database: Database,
        workshop: Workshop,
        labels_in: LabelsIn,
        leave_of: LeaveOf,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._workshop = workshop
        self._labels_in = labels_in
        self._shelf = Shelf(workshop.datasets, labels_in, leave_of)
        self._clock = clock
        self._log = get_logger("retrainer")
        self._swept: int | None = None

    def sweep(self, *, again: bool = False, beat: Beat = lambda: True) -> None:
        """Takes away dataset versions that hold erased labels. Raises `TransientError`, and `Interrupted` where `beat`
        says that it may not go on.

        Nothing is looked at where nothing was erased since the last time, unless `again`.
        """
        with self._database.read() as tx:
            count = queued_labels.erased_count(tx)
            if count == self._swept and not again:
                return
            erased = queued_labels.erased(tx)
            last = [run.dataset for run in loop.latest(tx, limit=_RUNS) if run.dataset]
        now = self._clock()
        with closing(self._shelf.sweep(erased, last, now, beat)) as taken:
            for each in taken:
                self._tell(each, now)
        self._swept = count

    def _tell(self, taken: TakenAway, now: datetime) -> None:
        told = {"labels": taken.labels, "successor": taken.successor}
        if taken.said:
            told["said"] = taken.said
            self._log.warning("nothing is left of a dataset", dataset=taken.dataset, reason=taken.said)
        with self._database.write() as tx:
            audit.append(tx, now, SYSTEM, "dataset.erased", taken.dataset, told)

    def labels_in(self, run: Run) -> frozenset[UUID]:
        """The labels that the run's dataset was made of. Raises `ServicesError` where that cannot be read."""
        if run.dataset is None or not self._workshop.is_whole(run.dataset):
            return frozenset()
        return self._labels_in(self._workshop.datasets / run.dataset)
