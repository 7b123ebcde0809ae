"""One export, from the database to its place: read, checked, written, searched, remembered, and put in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from retrain.safety_data.assembling import Assembled, Options, assemble
from retrain.safety_data.export import Draft, drafted
from retrain.safety_data.held_out import HeldOut
from retrain.safety_data.rows import Origin
from services.errors import ServicesError
from services.safety_export.reading import Reading, Wanted
from services.safety_export.register import Entry, Register
from services.store import audit
from services.store.database import Database


class ChangedMeanwhileError(ServicesError):
    """Something was erased or taken back while it was exported; nothing was written. Trying again is safe."""


@dataclass(frozen=True, slots=True)
class Exported:
    """An export in its place."""

    folder: Path
    assembled: Assembled
    labels: int
    conversations: int


class Exporting:
    """Exports with the detectors that are held out, the reading and the register of this installation."""

    def __init__(self, database: Database, reading: Reading, register: Register, held_out: HeldOut) -> None:
        self._database = database
        self._reading = reading
        self._register = register
        self._held_out = held_out

    def look(self, wanted: Wanted, options: Options, origin: Origin) -> Assembled:
        """What an export would hold. Raises `HeldOutError`."""
        return assemble(self._reading.judged(wanted), options, origin, self._held_out)

    def export(
        self, root: Path, wanted: Wanted, options: Options, origin: Origin, *, facts: Mapping[str, Any], actor: str,
        now: datetime,
    ) -> Exported:  # fmt: skip
        """Writes an export below `root`. Nothing is left of one that raises `HeldOutError`, `ChangedMeanwhileError`.

        It is remembered before it is looked whether all in it still stands: an erasure at any moment either shows
        there, or finds the export.
        """
        assembled = self.look(wanted, options, origin)
        told: dict[str, Any] = {"made_at": now.isoformat(), "facts": facts}
        with drafted(root, assembled, options, origin, self._held_out, **told) as draft:
            entry = _entry(draft, now)
            known = draft.place.exists()
            self._register.add(entry)
            try:
                if not self._reading.standing(wanted).issuperset(draft.labels):
                    raise ChangedMeanwhileError("labels were erased or taken back during the export: try again")
                folder = draft.finish()
            except BaseException:
                if not known:
                    self._register.drop(entry)
                raise
        self._remember(entry, assembled, options, actor, now)
        return Exported(folder, assembled, len(entry.labels), len(entry.conversations))

    def _remember(self, entry: Entry, assembled: Assembled, options: Options, actor: str, now: datetime) -> None:
        rows = {name: len(rows) for name, rows in assembled.files.items()}
        with self._database.write() as tx:
            audit.append(tx, now, actor, "export", entry.name, {"rows": rows, "k": options.k})


def _entry(draft: Draft, now: datetime) -> Entry:
    return Entry(
        name=draft.place.name,
        folder=draft.place.resolve(),
        made_at=now.isoformat(),
        labels=draft.labels,
        conversations=draft.conversations,
    )
