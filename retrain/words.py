"""The words of one deployment: a linear model finds them quickly, and the screen can say them.

Words that tell the sides of one deployment apart are few and its own. The screen's weights for a label are refitted:
its old opinion stays one of two inputs, what the words say is the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from detectors.taxonomy import LABELS
from retrain.fitting import fit_logistic
from retrain.hashing import rarity
from retrain.observed import Observed, Vector, arrays

FEWEST: Final = 5
"""Labels of either kind without which nothing is learnt."""

_FOLDS: Final = 5
_MEAN: Final = 2  # of detectors.summary.STATISTICS


@dataclass(frozen=True, slots=True)
class LocalScreen:
    """New screen logit = `keep` * old logit + `counts` @ `weights` + `bias`, for one label."""

    keep: float
    weights: Vector
    bias: float

    def logits(self, seen: Observed, label: str) -> Vector:
        """[windows]."""
        return np.asarray(self.keep * seen.screen[:, LABELS.index(label)] + seen.counts @ self.weights + self.bias)


@dataclass(frozen=True, slots=True)
class Learnt:
    """A label's new screen, and what it would say [windows] of conversations that it was not fitted on."""

    screen: LocalScreen
    cross_fitted: Vector


def learn(seen: Observed, label: str, *, each: Vector | None = None) -> Learnt:
    """The new screen for `label`. `each` [conversations]: how much they count; the two sides as much if not given.

    Raises `ValueError` with under `FEWEST` of either kind.
    """
    column = LABELS.index(label)
    positive = seen.truth[:, column]
    if min(positive.sum(), (~positive).sum()) < FEWEST:
        raise ValueError(f"{label}: learning needs at least {FEWEST} confirmed conversations of either kind")
    counts, counted = seen.mean_counts(), evened(positive) if each is None else each
    # What the local words say of conversations that they were not fitted on, and how much that is worth.
    unseen = np.zeros(len(seen.owner))
    for rest, fold in _folds(positive, seen.groups):
        words = _words(counts[rest], positive[rest], counted[rest])
        rows = np.isin(seen.owner, fold)
        unseen[rows] = seen.counts[rows] @ words
    old, new = (seen.statistics(logits)[:, _MEAN] for logits in (seen.screen[:, column], unseen))
    (keep, trust), _ = fit_logistic(np.stack([old, new], axis=1), positive, each=each)
    if trust == 0:  # the words of this deployment tell nothing yet
        keep, trust = 1.0, 0.0
    weights = float(trust) * _words(counts, positive, counted)
    return Learnt(LocalScreen(float(keep), weights, 0.0), keep * seen.screen[:, column] + trust * unseen)


def evened(positive: NDArray[np.bool_]) -> Vector:
    """Weights [conversations], 1 on average, with which both sides count the same; 1 each where there is but one."""
    sides = (int(positive.sum()), int((~positive).sum()))
    if not all(sides):
        return np.ones(len(positive))
    return np.where(positive, len(positive) / (2 * sides[0]), len(positive) / (2 * sides[1]))


def _folds(positive: NDArray[np.bool_], groups: tuple[str, ...]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    parts = min(_FOLDS, int(positive.sum()), int((~positive).sum()), len(set(groups)))
    folds = StratifiedGroupKFold(max(2, parts)).split(positive, positive, groups)
    return [(rest, fold) for rest, fold in folds if 0 < positive[rest].sum() < len(rest)]


def _words(counts: sparse.csr_matrix, positive: NDArray[np.bool_], each: Vector) -> Vector:
    """Weights [buckets] of a logistic regression on mean counts, rare buckets weighted up (inverse frequency)."""
    scale = rarity(counts)
    used = np.flatnonzero(scale)
    model = LogisticRegression(C=10.0, solver="liblinear", random_state=0)
    model.fit(counts[:, used] @ sparse.diags(scale[used]), positive, sample_weight=each)
    weights = np.zeros(counts.shape[1])
    weights[used] = model.coef_[0] * scale[used]
    return weights


def screen_model(model: bytes, local: Mapping[str, LocalScreen]) -> bytes:
    """The screen's ONNX file with its weights for some labels replaced."""
    graph = onnx.load_from_string(model)
    changed: dict[str, NDArray[Any]] = dict(arrays(graph))
    for label, screen in local.items():
        column = LABELS.index(label)
        table = screen.keep * changed["table"][:, column] + screen.weights
        changed["table"][:, column] = table.astype(np.float16)
        changed["feature_weight"][column] *= screen.keep
        changed["feature_bias"][column] = screen.keep * changed["feature_bias"][column] + screen.bias
    for each in graph.graph.initializer:
        each.CopyFrom(numpy_helper.from_array(changed[each.name], each.name))
    return bytes(graph.SerializeToString())
