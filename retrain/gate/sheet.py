"""What is examined: rows with labels, and the slices that each belongs to. No text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.taxonomy import LABELS, MISALIGNMENT

Mask = NDArray[np.bool_]

OTHER = "other"
ALL = "all"


@dataclass(frozen=True, slots=True, order=True)
class Slice:
    """A part of the rows: `category:deception`, `language:de`, `source:acme/helpdesk`, `red_team:padding`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Sheet:
    """`labels` [rows, LABELS]. Rows of one group are no independent evidence. `members` [rows] of each slice."""

    ids: tuple[str, ...]
    groups: NDArray[np.str_]
    labels: Mask
    members: Mapping[Slice, Mask]

    @property
    def misaligned(self) -> Mask:
        """[rows]"""
        return np.asarray(self.labels[:, LABELS.index(MISALIGNMENT)])

    def groups_with(self, rows: Mask) -> int:
        """How many groups have one of these rows."""
        return len(np.unique(self.groups[rows]))


@dataclass(frozen=True, slots=True)
class Opinions:
    """What one bundle makes of the rows of a sheet.

    `probabilities` [rows, LABELS], 0 where it says nothing; `flagged` [rows]: for any label that can alert;
    `scored` [rows]: false where it gave no number.
    """

    probabilities: NDArray[np.float64]
    flagged: Mask
    scored: Mask

    @property
    def misalignment(self) -> NDArray[np.float64]:
        """[rows]"""
        return np.asarray(self.probabilities[:, LABELS.index(MISALIGNMENT)])


def joined(parts: Sequence[Opinions]) -> Opinions:
    """Of all rows, in order."""
    return Opinions(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.flagged for part in parts]),
        np.concatenate([part.scored for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Merged:
    """`kept`: slices large enough; `merged`: those in their kind's `other`; `too_small`: those that no metric fits."""

    kept: dict[Slice, Mask]
    merged: dict[Slice, Mask]
    too_small: dict[Slice, Mask]


def merge_small(members: Mapping[Slice, Mask], large_enough: Callable[[Mask], bool]) -> Merged:
    """Each slice is in exactly one part; where `other` is still too small, so is each slice in it."""
    kept = {name: rows for name, rows in members.items() if large_enough(rows)}
    small = {name: rows for name, rows in members.items() if name not in kept}
    merged: dict[Slice, Mask] = {}
    too_small: dict[Slice, Mask] = {}
    for kind in dict.fromkeys(name.kind for name in small):
        mine = {name: rows for name, rows in small.items() if name.kind == kind}
        other = np.logical_or.reduce(list(mine.values()))
        if len(mine) > 1 and large_enough(other):
            kept[Slice(kind, OTHER)] = other
            merged |= mine
        else:
            too_small |= mine
    return Merged(kept, merged, too_small)
