"""Which exports there are, and which labels and conversations each holds: a small file for each, beside the datasets.

Conversations are in it as keyed digests. An erasure asks here, and takes out what it finds.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from detectors.transcript import Frozen
from services.errors import ServicesError

_SUFFIX: Final = ".json"


class Entry(Frozen):
    """One export at one place."""

    name: str
    folder: Path
    made_at: str
    labels: tuple[str, ...]
    conversations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Exports that held something that was erased: those that are rid of it now, and those that could not be."""

    thinned: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


Thin = Callable[[Path, Collection[str], Collection[str]], int]
"""Takes conversations and labels out of an export's folder; raises `OSError`, `ValueError` or `ImportError`."""


class Register:
    """The exports of this installation, in `folder`. `thin` is what takes rows out of one."""

    def __init__(self, folder: Path, thin: Thin) -> None:
        self._folder = folder
        self._thin = thin

    def add(self, entry: Entry) -> None:
        """Remembers an export: before it is in its place, so that there is none that nobody knows of."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(entry.name, entry.folder)
        unfinished = path.with_suffix(".new")
        unfinished.write_text(entry.model_dump_json(), encoding="utf-8")
        unfinished.replace(path)

    def drop(self, entry: Entry) -> None:
        """Forgets an export that did not come about."""
        self._path(entry.name, entry.folder).unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """All exports. Raises `ServicesError` for a file that is none: what it held would go unnoticed."""
        return [_read(path) for path in sorted(self._folder.glob(f"*{_SUFFIX}"))]

    def forget(self, conversations: Collection[str], labels: Collection[str]) -> Found:
        """Takes erased conversations out of every export that holds them. `left`: those that are not there any more, or
        could not be changed; whoever has them has to be told.
        """
        thinned: list[str] = []
        left: list[str] = []
        for entry in self.entries():
            if set(conversations).isdisjoint(entry.conversations) and set(labels).isdisjoint(entry.labels):
                continue
            with self._alone(entry):
                done = self._thinned(entry, conversations, labels)
            (thinned if done else left).append(entry.name)
        return Found(tuple(thinned), tuple(left))

    def _thinned(self, entry: Entry, conversations: Collection[str], labels: Collection[str]) -> bool:
        try:
            self._thin(entry.folder, conversations, labels)
        except (OSError, ValueError, ImportError, KeyError):
            return False
        kept = {
            "labels": tuple(each for each in entry.labels if each not in labels),
            "conversations": tuple(each for each in entry.conversations if each not in conversations),
        }
        self.add(entry.model_copy(update=kept))
        return True

    @contextmanager
    def _alone(self, entry: Entry) -> Iterator[None]:
        """Two erasures at once would each bring back what the other one took out."""
        with self._path(entry.name, entry.folder).with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _path(self, name: str, folder: Path) -> Path:
        place = hashlib.blake2b(str(folder).encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
        return self._folder / f"{name}-{place}{_SUFFIX}"


def _read(path: Path) -> Entry:
    try:
        return Entry.model_validate_json(path.read_bytes())
    except ValidationError:
        raise ServicesError(f"{path}: not an entry of an export; put it right, or take it away") from None
