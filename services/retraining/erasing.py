"""What was erased goes from disk as well, and the audit log says that it did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from services.retraining.run import Run
from services.retraining.shelf import LabelsIn, Shelf
from services.retraining.workshop import Workshop
from services.store import audit, queued_labels
from services.store.database import Database

SYSTEM = "plumbline"


class Erasing:
    """May be used by several threads."""

    def __init__(
        self, database: Database, workshop: Workshop, labels_in: LabelsIn, *, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._workshop = workshop
        self._labels_in = labels_in
        self._shelf = Shelf(workshop.datasets, labels_in)
        self._clock = clock
        self._swept: int | None = None

    def sweep(self, *, again: bool = False) -> int:
        """Takes away dataset versions that hold erased labels; how many. Raises `TransientError`.

        Nothing is looked at where nothing was erased since the last time, unless `again`.
        """
        with self._database.read() as tx:
            count = queued_labels.erased_count(tx)
            if count == self._swept and not again:
                return 0
            erased = queued_labels.erased(tx)
        now = self._clock()
        taken = self._shelf.sweep(erased, now)
        for each in taken:
            with self._database.write() as tx:
                audit.append(tx, now, SYSTEM, "dataset.erased", each.dataset, {"labels": each.labels})
        self._swept = count
        return len(taken)

    def labels_in(self, run: Run) -> frozenset[UUID]:
        """The labels that the run's dataset was made of. Raises `ServicesError` where that cannot be read."""
        folder = self._workshop.dataset(run.dataset)
        return self._labels_in(folder) if folder else frozenset()
