"""k-anonymity: nobody can be told from fewer than k conversations by tenant, agent, model, language, domain and day.

Columns are generalised for all rows of all files alike, the one with the most values first (Sweeney's Datafly, 2002),
until few rows stand alone; these are left out. Rows of one conversation say the same in every file: putting files
together tells no more than each of them. What was said is not covered: see docs/safety-data.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from retrain.safety_data.rows import QUASI_IDENTIFIERS, Row

ANY: Final = "*"
Files = Mapping[str, Sequence[Row]]


def _month(value: str) -> str:
    return value[:7]


def _year(value: str) -> str:
    return value[:4]


def _major(value: str) -> str:
    """`2.4.1` → `2`; what has no number at its beginning stays."""
    head = value.lstrip("vV").partition(".")[0]
    return head if head.isdigit() else value


def _any(_: str) -> str:
    return ANY


LADDERS: Final[dict[str, tuple[Callable[[str], str], ...]]] = {
    **dict.fromkeys(QUASI_IDENTIFIERS, (_any,)),
    "model_version": (_major, _any),
    "day": (_month, _year, _any),
}
"""How each column is made coarser, step by step. The last step tells nothing."""


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Rows that are left, what was left out by file, and how far each column was generalised (0: not at all)."""

    files: dict[str, list[Row]]
    suppressed: dict[str, int]
    levels: dict[str, int]


def anonymised(files: Files, k: int, *, most_suppressed: float = 0.1) -> Anonymous:
    """Every combination of the columns that is left in a file is that of `k` conversations of it at least.

    Columns are made coarser until at most this share of all rows has to go, or there is nothing left to make coarser.
    """
    levels = dict.fromkeys(QUASI_IDENTIFIERS, 0)
    while True:
        coarse = {name: [_generalised(row, levels) for row in rows] for name, rows in files.items()}
        kept = {name: common(rows, k) for name, rows in coarse.items()}
        total, left = (sum(map(len, each.values())) for each in (coarse, kept))
        column = _widest(coarse, levels)
        if total - left <= most_suppressed * total or column is None:
            gone = {name: len(rows) - len(kept[name]) for name, rows in coarse.items()}
            return Anonymous(kept, gone, levels)
        levels[column] += 1


def combination(row: Row) -> tuple[str, ...]:
    return tuple(row[column] for column in QUASI_IDENTIFIERS)


def _generalised(row: Row, levels: Mapping[str, int]) -> Row:
    """The row, its moment made no finer than its day."""
    coarse: dict[str, str] = {}
    for column, level in levels.items():
        value = row[column]
        for step in LADDERS[column][:level]:
            value = step(value)
        coarse[column] = value
    return {**row, **coarse, "labelled_at": coarse["day"]}


def common(rows: Sequence[Row], k: int) -> list[Row]:
    """Rows whose combination at least `k` conversations share."""
    conversations: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows:
        conversations[combination(row)].add(row["conversation"])
    return [row for row in rows if len(conversations[combination(row)]) >= k]


def _widest(files: Mapping[str, Sequence[Row]], levels: Mapping[str, int]) -> str | None:
    """The column with the most values that can still be made coarser; the first of equals."""
    open_ones = [column for column in QUASI_IDENTIFIERS if levels[column] < len(LADDERS[column])]
    values = {column: len({row[column] for rows in files.values() for row in rows}) for column in open_ones}
    return max(open_ones, key=lambda column: values[column], default=None)
