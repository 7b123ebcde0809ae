"""Dataset versions on disk, and taking away those that hold what was erased."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from uuid import UUID, uuid4

from services.retraining.workshop import discard

LabelsIn = Callable[[Path], frozenset[UUID]]
"""Which labels a dataset version was made of. Raises `ValueError` where that cannot be read."""


@dataclass(frozen=True, slots=True)
class TakenAway:
    """A dataset version that is gone, and how many of its labels were erased. None: it could not be read."""

    dataset: str
    labels: int | None


class Shelf:
    """May be used by several threads. Versions are immutable: each is looked into once."""

    def __init__(self, datasets: Path, labels_in: LabelsIn) -> None:
        self._datasets = datasets
        self._labels_in = labels_in
        self._known: dict[str, frozenset[UUID]] = {}
        self._lock = Lock()

    def sweep(self, erased: Collection[UUID], now: datetime) -> list[TakenAway]:
        """Takes away every version that holds one of these labels. Done again, it goes on where it was.

        A version that cannot be read goes as well: nobody can tell what it holds.
        """
        with self._lock:
            found = [self._looked_at(folder, erased, now) for folder in sorted(self._datasets.glob("ds-*/"))]
        return [each for each in found if each is not None]

    def _looked_at(self, folder: Path, erased: Collection[UUID], now: datetime) -> TakenAway | None:
        try:
            held = self._labels(folder) & set(erased)
        except (ValueError, OSError):
            if not erased or not folder.exists():
                return None
            return self._take(folder, None, now)
        return self._take(folder, held, now) if held else None

    def _labels(self, folder: Path) -> frozenset[UUID]:
        if folder.name not in self._known:
            self._known[folder.name] = self._labels_in(folder)
        return self._known[folder.name]

    def _take(self, folder: Path, held: frozenset[UUID] | set[UUID] | None, now: datetime) -> TakenAway:
        """First what is left of it, then the version: killed in between, it is found again."""
        digests = None if held is None else sorted(_digest(label) for label in held)
        told = {"dataset": folder.name, "erased_labels": digests, "at": now.isoformat()}
        tombstone = folder.with_name(f"{folder.name}.erased.json")
        writing = folder.with_name(f".work-{uuid4().hex}")
        writing.write_text(json.dumps(told), encoding="utf-8")
        writing.rename(tombstone)
        discard(folder)
        self._known.pop(folder.name, None)
        return TakenAway(folder.name, None if held is None else len(held))


def _digest(label_id: UUID) -> str:
    return hashlib.sha256(label_id.bytes).hexdigest()
