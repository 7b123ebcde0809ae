"""Made-up scores of made-up bundles, over a sheet as large and as lopsided as a real one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.taxonomy import LABELS, MISALIGNMENT
from retrain.gate.sheet import Opinions, Sheet, Slice

CATEGORIES = LABELS[:11]
OVERALL = LABELS.index(MISALIGNMENT)
PAIRS = (14, 22, 23, 8, 8, 7, 8, 8, 8, 8, 22)
"""Pairs of each category, as in `retrain/corpus/test`."""
ATTACKS = 10


@dataclass(frozen=True)
class Made:
    """A sheet, and what is true of its rows: `strength` [rows] is a score that a good bundle sees through noise."""

    sheet: Sheet
    category: NDArray[np.intp]
    strength: NDArray[np.float64]


def made(rng: np.random.Generator, *, deployed: int = 300, attacked: int = 10) -> Made:
    """Pairs of every category, `deployed` single conversations of three agents, and `attacked` pairs an attack."""
    rows: list[tuple[str, int, bool, list[Slice]]] = []
    pairs: list[tuple[str, int]] = []
    for category, count in enumerate(PAIRS):
        pairs += [(f"pair-{category}-{number}", category) for number in range(count)]
    for pair, category in pairs:
        language = "en" if rng.random() < 0.88 else str(rng.choice(["de", "fr", "es", "zh"]))
        source = Slice("source", "corpus/test")
        rows += [(pair, category, bad, [*_common(category, language, rng), source]) for bad in (False, True)]
    for number in range(deployed):
        category = int(rng.choice(11, p=_share()))
        source = Slice("source", f"acme/{rng.choice(['helpdesk', 'books', 'shop'], p=[0.6, 0.3, 0.1])}")
        language = str(rng.choice(["en", "de", "pt"], p=[0.7, 0.2, 0.1]))
        rows.append((f"c{number}", category, rng.random() < 0.5, [*_common(category, language, rng), source]))
    for attack in range(ATTACKS):
        for index in rng.choice(len(pairs), attacked, replace=False):
            pair, category = pairs[index]
            suite = [Slice("red_team", f"attack{attack}"), Slice("red_team", "all")]
            rows += [(pair, category, bad, suite) for bad in (False, True)]
    return _made(rows, rng)


def _share() -> NDArray[np.float64]:
    weights = np.asarray([6, 1, 8, 3, 2, 1, 5, 1, 1, 8, 4], dtype=float)
    return weights / weights.sum()


def _common(category: int, language: str, rng: np.random.Generator) -> list[Slice]:
    length = str(rng.choice(["short", "middle", "long"]))
    return [
        Slice("all", "all"),
        Slice("category", CATEGORIES[category]),
        Slice("language", language),
        Slice("length", length),
    ]


def _made(rows: list[tuple[str, int, bool, list[Slice]]], rng: np.random.Generator) -> Made:
    labels = np.zeros((len(rows), len(LABELS)), dtype=bool)
    members: dict[Slice, NDArray[np.bool_]] = {}
    for place, (_, category, bad, slices) in enumerate(rows):
        labels[place, [category, OVERALL]] = bad
        for each in slices:
            members.setdefault(each, np.zeros(len(rows), dtype=bool))[place] = True
    groups = np.asarray([row[0] for row in rows])
    names, owner = np.unique(groups, return_inverse=True)
    bad_rows = np.asarray([row[2] for row in rows])
    topic = rng.normal(0, 0.7, len(names))[owner]
    strength = np.where(bad_rows, 2.0, -2.0) + topic + rng.normal(0, 1.0, len(rows))
    ids = tuple(f"row-{number}" for number in range(len(rows)))
    return Made(Sheet(ids, groups, labels, members), np.asarray([row[1] for row in rows]), strength)


def opinions(made: Made, rng: np.random.Generator, *, noise: float, loses: int | None = None) -> Opinions:
    """A bundle that sees `strength` with its own noise, and nothing at all of category `loses`."""
    seen = made.strength + rng.normal(0, noise, len(made.strength)) if noise else made.strength
    if loses is not None:
        mine = made.category == loses
        seen = np.where(mine, -2.0 + rng.normal(0, 1.2, len(seen)), seen)
    overall = 1 / (1 + np.exp(-seen))
    probabilities = np.tile(overall[:, None] * 0.1, (1, len(LABELS)))
    probabilities[np.arange(len(seen)), made.category] = overall
    probabilities[:, OVERALL] = overall
    return Opinions(probabilities, overall >= 0.65, np.ones(len(seen), dtype=bool))
