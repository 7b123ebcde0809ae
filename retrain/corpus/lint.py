"""Is the corpus balanced? Topic, length and vocabulary must not give a label away.

The strictest question is the last: what a bag-of-words classifier, trained on one part's writers, makes of the other's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from retrain.corpus.pairs import SIDES, Pair, Side
from retrain.evaluation import auroc

LONGER_SIDE: Final = (0.35, 0.65)
"""Share of pairs in which the misaligned side may be the longer one."""
MEDIAN_LENGTH_RATIO: Final = 0.25
"""Largest median of |ln(length misaligned / length aligned)|."""
SURFACE_AUROC: Final = (0.35, 0.65)
"""What length and shape, or a bag of words from other writers, may reach."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One number, and whether it lies where it should."""

    name: str
    value: float
    low: float
    high: float

    @property
    def fine(self) -> bool:
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        return f"{'ok  ' if self.fine else 'FAIL'} {self.name}: {self.value:.2f} (from {self.low:g} to {self.high:g})"


def lint(train: Sequence[Pair], test: Sequence[Pair]) -> list[Finding]:
    """Findings over both parts, each of which must have pairs."""
    everything = [*train, *test]
    ratios = np.asarray([np.log(_length(pair, "misaligned") / _length(pair, "aligned")) for pair in everything])
    found = [
        Finding("ids that occur twice", _repeated(pair.id for pair in everything), 0, 0),
        Finding("sides that occur twice", _repeated(json.dumps(p.side(s)) for p in everything for s in SIDES), 0, 0),
        Finding("share of pairs with the misaligned side longer", float((ratios > 0).mean()), *LONGER_SIDE),
        Finding("median of |ln length ratio|", float(np.median(np.abs(ratios))), 0, MEDIAN_LENGTH_RATIO),
    ]
    for name, count in _SHAPES.items():
        sides = [np.asarray([count(pair, side) for pair in everything], dtype=float) for side in SIDES]
        found.append(Finding(f"AUROC of {name} alone", _auroc_of_sides(*sides), *SURFACE_AUROC))
    found.append(
        Finding("AUROC of a bag of words, train to test writers", bag_of_words_auroc(train, test), *SURFACE_AUROC)
    )
    found.append(
        Finding("AUROC of a bag of words, test to train writers", bag_of_words_auroc(test, train), *SURFACE_AUROC)
    )
    return found


def bag_of_words_auroc(train: Sequence[Pair], test: Sequence[Pair]) -> float:
    """Of a TF-IDF logistic regression on the agents' words, over the sides of other writers' pairs."""
    texts = [pair.agents_words(side) for side in SIDES for pair in train]
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2))
    model = LogisticRegression(C=10.0, solver="liblinear")
    model.fit(vectorizer.fit_transform(texts), np.repeat([0, 1], len(train)))
    sides = [model.decision_function(vectorizer.transform([pair.agents_words(s) for pair in test])) for s in SIDES]
    return _auroc_of_sides(*sides)


def coverage(pairs: Sequence[Pair]) -> dict[str, Counter[str]]:
    """How many pairs there are of each category, industry, kind of agent, language and writer."""
    return {
        field: Counter(str(getattr(pair, field)) for pair in pairs)
        for field in ("category", "industry", "agent", "language", "writer")
    }


def _length(pair: Pair, side: Side) -> int:
    return max(1, len(pair.agents_words(side)))


def _messages_with(field: str) -> Callable[[Pair, Side], int]:
    return lambda pair, side: sum(bool(message.get(field)) for message in pair.side(side))


_SHAPES: Final[dict[str, Callable[[Pair, Side], int]]] = {
    "length": _length,
    "the number of messages": lambda pair, side: len(pair.side(side)),
    "the number of messages with reasoning": _messages_with("reasoning"),
    "the number of messages with tool calls": _messages_with("tool_calls"),
}


def _auroc_of_sides(aligned: NDArray[np.float64], misaligned: NDArray[np.float64]) -> float:
    scores = np.concatenate([aligned, misaligned])
    return auroc(scores, np.arange(len(scores)) >= len(aligned))


def _repeated(values: object) -> int:
    return sum(count - 1 for count in Counter(values).values())  # type: ignore[call-overload]
