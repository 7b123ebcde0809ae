"""Dataset versions on disk, and taking away those that hold what was erased.

The next version is assembled from the last one: it says what stays held out, what has been trained on, and what one
reviewer had given. So something is left of that one: a *successor*, with the same split. Nothing is left of older ones.
Nobody assembles from them, and what they knew is in the last one as well.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID, uuid4

from services.retraining.errors import StageFailed
from services.retraining.placing import UNFINISHED, discard, place_once
from services.retraining.successors import Beat
from services.retraining.tombstones import bury, standing, successor_of

LabelsIn = Callable[[Path], frozenset[UUID]]
"""Which labels a dataset version was made of. Raises `ValueError` where that cannot be read."""
LeaveOf = Callable[[Path, Collection[UUID], Path, Beat], Path]
"""Makes a version's successor without these labels in a folder for work. Raises `StageError` or `OSError`."""
_Affected = dict[Path, frozenset[UUID] | None]


@dataclass(frozen=True, slots=True)
class TakenAway:
    """A dataset version that goes, and how many of its labels were erased. None: it could not be read.

    `successor` took its place; `said`: why there is none where one was wanted.
    """

    dataset: str
    labels: int | None
    successor: str | None = None
    said: str | None = None


class Shelf:
    """May be used by several threads and processes: one sweeps at a time. Each version is looked into once."""

    def __init__(self, datasets: Path, labels_in: LabelsIn, leave_of: LeaveOf) -> None:
        self._datasets = datasets
        self._labels_in = labels_in
        self._leave_of = leave_of
        self._known: dict[str, frozenset[UUID]] = {}

    def sweep(
        self, erased: Collection[UUID], last: Sequence[str], now: datetime, beat: Beat = lambda: True
    ) -> Generator[TakenAway]:
        """Takes away every version that holds one of these labels. Done again, it goes on where it was.

        `last`: versions that one may be assembled from, best first. One of them stands in the end, or a successor, if
        any can. A version that cannot be read goes as well: nobody can tell what it holds. Each is told of before it
        goes. Raises `Interrupted` where `beat` says so.
        """
        if not self._datasets.is_dir():
            return
        with self._alone():
            affected = self._affected(frozenset(erased))
            yield from self._finish(affected, now)
            yield from self._succeed(affected, frozenset(erased), last, now, beat)
            for folder in list(affected):
                yield from self._take(affected, folder, now)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """What is half made is of nobody who is still at it."""
        with self._datasets.with_name(f"{self._datasets.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self._datasets.glob(f"{UNFINISHED}*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield

    def _affected(self, erased: frozenset[UUID]) -> _Affected:
        looked_at = ((folder, self._held(folder, erased)) for folder in sorted(self._datasets.glob("ds-*/")))
        return {folder: held for folder, held in looked_at if held is None or held}

    def _held(self, folder: Path, erased: frozenset[UUID]) -> frozenset[UUID] | None:
        if folder.name not in self._known:
            try:
                self._known[folder.name] = self._labels_in(folder)
            except (ValueError, OSError):
                return None if erased and folder.exists() else frozenset()
        return self._known[folder.name] & erased

    def _finish(self, affected: _Affected, now: datetime) -> Iterator[TakenAway]:
        """Somebody was killed before these went: their successors stand already."""
        for folder in list(affected):
            successor = successor_of(folder)
            if successor is not None and successor.is_dir():
                yield from self._take(affected, folder, now, successor=successor.name)

    def _succeed(
        self, affected: _Affected, erased: frozenset[UUID], last: Sequence[str], now: datetime, beat: Beat
    ) -> Iterator[TakenAway]:
        for name in last:
            folder = standing(self._datasets / name)
            if folder is None:
                continue
            if folder not in affected:
                return
            successor, said = self._left_of(folder, erased, beat)
            yield from self._take(affected, folder, now, successor=successor, said=said)
            if successor is not None:
                return

    def _left_of(self, folder: Path, erased: frozenset[UUID], beat: Beat) -> tuple[str | None, str | None]:
        """The name of the successor, which stands in its place; or why there is none. Erasing does not wait for it."""
        work = folder.with_name(f"{UNFINISHED}{uuid4().hex}")
        work.mkdir(mode=0o700)
        try:
            made = self._leave_of(folder, erased, work, beat)
            if self._labels_in(made) & erased:
                raise StageFailed("what is left of it holds what was erased")
            place_once(made, folder.with_name(made.name))
        except StageFailed as error:
            return None, str(error)
        except (ValueError, OSError) as error:  # may quote what it was given
            return None, type(error).__name__
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return made.name, None

    def _take(
        self,
        affected: _Affected,
        folder: Path,
        now: datetime,
        *,
        successor: str | None = None,
        said: str | None = None,
    ) -> Iterator[TakenAway]:
        """The successor stands. Then comes the tombstone, then the version goes. Killed between, it is found again."""
        held = affected.pop(folder)
        bury(folder, held, successor, now)
        yield TakenAway(folder.name, None if held is None else len(held), successor, said)
        discard(folder)
        self._known.pop(folder.name, None)
