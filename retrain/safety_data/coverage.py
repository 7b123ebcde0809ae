"""What the cases cover, category by language by attack vector by domain, and what is missing."""

from __future__ import annotations

import csv
import io
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from detectors.taxonomy import Category
from retrain.safety_data.describing import Vector
from retrain.safety_data.rows import Row

COUNTS: Final = ("confirmed", "corrected", "dismissed")
_AXES: Final = ("category", "language", "attack_vector", "domain")
_CATEGORIES: Final = tuple(category.value for category in Category)
_VECTORS: Final = tuple(vector.value for vector in Vector)

Cell = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Conversations by cell and by what was decided. `corrected` ones are among the confirmed."""

    cells: Mapping[Cell, Mapping[str, int]]

    def total(self, what: str, **where: str) -> int:
        """How many conversations in all cells that fit."""
        wanted = [(_AXES.index(axis), value) for axis, value in where.items()]
        return sum(
            counts.get(what, 0) for cell, counts in self.cells.items() if all(cell[at] == value for at, value in wanted)
        )

    def seen(self, axis: str) -> list[str]:
        return sorted({cell[_AXES.index(axis)] for cell in self.cells})

    def grid(self) -> list[Cell]:
        """Every category by every language and domain that was seen by every attack vector: the empty ones as well."""
        return list(itertools.product(_CATEGORIES, self.seen("language"), _VECTORS, self.seen("domain")))


def coverage_of(rows: Sequence[Row]) -> Coverage:
    """Of rows of one conversation each: category, language and so on, `outcome`, and whether it is `corrected`."""
    cells: dict[Cell, Counter[str]] = {}
    for row in rows:
        counts = cells.setdefault((row["category"], row["language"], row["attack_vector"], row["domain"]), Counter())
        counts[row["outcome"]] += 1
        counts["corrected"] += row["corrected"]
    return Coverage(cells)


def as_csv(coverage: Coverage) -> str:
    """A line for each cell of the grid, empty ones included; and for cells of overall misalignment that there are."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_AXES, *COUNTS])
    for cell in sorted({*coverage.grid(), *coverage.cells}):
        counts = coverage.cells.get(cell, {})
        writer.writerow([*map(_plain, cell), *(counts.get(what, 0) for what in COUNTS)])
    return out.getvalue()


def _plain(text: str) -> str:
    """Spreadsheets take a cell that begins so for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_json(coverage: Coverage) -> dict[str, Any]:
    """Cells that hold something, sums for each axis, and what holds nothing that was confirmed."""
    cells = [
        dict(zip(_AXES, cell, strict=True)) | {what: coverage.cells[cell].get(what, 0) for what in COUNTS}
        for cell in sorted(coverage.cells)
    ]
    sums = {
        axis: {value: {what: coverage.total(what, **{axis: value}) for what in COUNTS} for value in coverage.seen(axis)}
        for axis in _AXES
    }
    return {"cells": cells, "sums": sums, "missing": missing(coverage)}


def missing(coverage: Coverage) -> dict[str, list[str]]:
    """Categories and attack vectors without a confirmed case; categories by language without a corrected answer."""
    corrected = [
        f"{category} in {language}"
        for category, language in itertools.product(_CATEGORIES, coverage.seen("language"))
        if not coverage.total("corrected", category=category, language=language)
    ]
    return {
        "categories": [each for each in _CATEGORIES if not coverage.total("confirmed", category=each)],
        "attack_vectors": [each for each in _VECTORS if not coverage.total("confirmed", attack_vector=each)],
        "corrected_answers": corrected,
    }


def as_table(coverage: Coverage) -> str:
    """For people: confirmed conversations, with those corrected behind a slash; a dot is what is missing."""
    lines = []
    for axis, values in (("attack_vector", _VECTORS), ("language", None), ("domain", None)):
        columns = list(values or coverage.seen(axis))
        if columns:
            lines += [_table(coverage, axis, columns), ""]
    gaps = missing(coverage)
    lines += [f"missing {what.replace('_', ' ')}: {', '.join(found) or 'none'}" for what, found in gaps.items()]
    return "\n".join(lines)


def _table(coverage: Coverage, axis: str, columns: Sequence[str]) -> str:
    rows = [["category", *columns]]
    categories = [*_CATEGORIES, *(each for each in coverage.seen("category") if each not in _CATEGORIES)]
    rows += [[each, *(_cell(coverage, each, axis, column) for column in columns)] for each in categories]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cell(coverage: Coverage, category: str, axis: str, value: str) -> str:
    confirmed = coverage.total("confirmed", **{"category": category, axis: value})
    corrected = coverage.total("corrected", **{"category": category, axis: value})
    return f"{confirmed}/{corrected}" if confirmed else "."
