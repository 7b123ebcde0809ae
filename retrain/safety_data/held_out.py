"""The Goodhart guard: what a held-out detector says never reaches those who train the monitored model.

A model that is trained against its monitor learns to pass it. One that it was never trained against shows when that
happens, as long as nothing of it leaks. What comes from one is refused, not left out: it should never have come so far.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from detectors.verdict import Arm
from retrain.safety_data.judged import Judged, Judgement
from retrain.safety_data.rows import Row

_FEWEST: Final = 6
"""A shorter name of a version is looked for as a whole only: it may stand in anything."""


class HeldOutError(ValueError):
    """Something of a held-out detector is in it: nothing may be exported. The text says where, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Bundle versions that served as held-out ones, and names of detectors that are held out within others."""

    versions: frozenset[str] = frozenset()
    detectors: frozenset[str] = frozenset()

    def check(self, judged: Iterable[Judged]) -> None:
        """Raises `HeldOutError` where a label answers a verdict that a held-out detector had a part in."""
        for conversation in judged:
            for judgement in conversation.judgements:
                if field := self._leak(judgement):
                    raise HeldOutError(f"label {judgement.label_id}: its {field} is of a held-out detector")

    def _leak(self, judgement: Judgement) -> str | None:
        names = self.versions | self.detectors | {Arm.HELD_OUT.value}
        if judgement.arm is Arm.HELD_OUT:
            return "verdict"
        if judgement.bundle_version in names:
            return "bundle version"
        if any(part in names for detector in judgement.detectors for part in detector):
            return "detector"
        if judgement.origin in names or judgement.source in names:
            return "origin"
        marks = (*judgement.evidence, *judgement.spans)
        if any(mark.category in names for mark in marks) or names & set(judgement.flagged):
            return "evidence"
        return None

    def scan(self, rows: Iterable[Row], file: str) -> None:
        """Looks through finished rows, however they came about. Raises `HeldOutError` naming file, row and column.

        A version is looked for everywhere, in what was said as well; a detector's name only in what we say of a row: it
        may be a common word.
        """
        for number, row in enumerate(rows, start=1):
            for column, value in row.items():
                if any(self._found(text, column) for text in _texts(value)):
                    raise HeldOutError(f"{file}, row {number}: {column} names a held-out detector")

    def _found(self, text: str, column: str) -> bool:
        if any(text == version or (len(version) >= _FEWEST and version in text) for version in self.versions):
            return True
        return column == "provenance" and (
            text == Arm.HELD_OUT.value or not self.detectors.isdisjoint({text, *text.split(" ")})
        )


def _texts(value: Any) -> Iterator[str]:
    """All texts in it, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
