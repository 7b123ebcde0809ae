"""Everything of a bundle but its encoder, refitted to what people said of a deployment.

For overall misalignment and each category with enough new labels the screen learns the deployment's words; then the
conversation heads of all labels, calibration and thresholds are fitted again. Replayed pairs count as much as all
labels together, as far as that is possible, so that a few labels matter and old abilities stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.bundle import Manifest
from detectors.taxonomy import LABELS, MISALIGNMENT
from retrain.fitting import MIN_POSITIVES
from retrain.measurement import Decision, Scored, decide
from retrain.observed import Matrix, Observed, Vector
from retrain.words import FEWEST, LocalScreen, evened, learn

_OVERALL = LABELS.index(MISALIGNMENT)


@dataclass(frozen=True, slots=True)
class Refit:
    """What decides a refit besides its data.

    `fewest`: labels of either kind that a category needs; `heaviest`: how many times as much as another one a
    conversation may count in the heads; `stopped`: the share of confirmed conversations that the screen may stop.
    """

    fewest: int = FEWEST
    heaviest: float = 4.0
    stopped: float = 0.02


@dataclass(frozen=True, slots=True)
class Material:
    """What to fit to: `deployed` [conversations] are labels of the deployment, the others are replayed.

    `for_heads` [conversations]: which ones the encoder was not trained on.
    """

    seen: Observed
    deployed: NDArray[np.bool_]
    for_heads: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """New parts of a bundle. `scored`: what the decision was made on, with screens that did not see it."""

    screens: dict[str, LocalScreen]
    pass_logit: float
    decision: Decision
    scored: Scored


def refreshed(material: Material, champion: Manifest, refit: Refit) -> Refreshed:
    """Raises `ValueError` with too little to fit the heads for overall misalignment to."""
    seen = material.seen
    learnt = {label: learn(seen, label, each=_each(material, label, refit)) for label in learnable(material, refit)}
    screen = seen.screen.copy()
    for label, found in learnt.items():
        screen[:, LABELS.index(label)] = found.cross_fitted
    limit = _pass_logit(material, screen[:, _OVERALL], champion.pass_logit, stopped=refit.stopped)
    rows = np.flatnonzero(material.for_heads)
    scored = _scored(seen, screen, limit)
    heads_of = scored.only(material.for_heads)
    weights = _half_each(material.deployed[rows], heaviest=refit.heaviest)
    # Heads of screens that changed start anew: the old ones weigh another thing.
    prior = {label: heads for label, heads in champion.heads.items() if label not in learnt}
    budget = champion.false_positive_budget
    decision = decide(heads_of, false_positive_budget=budget, weights=weights, prior=prior)
    if MISALIGNMENT not in decision.heads:
        raise ValueError("too few labelled conversations to calibrate on")
    kept = Decision(
        {**champion.heads, **decision.heads},
        {**champion.thresholds, **decision.thresholds},
        decision.share_misaligned,
    )
    # A screen goes with heads that were fitted to it.
    screens = {label: found.screen for label, found in learnt.items() if label in decision.heads}
    return Refreshed(screens, limit, kept, heads_of)


def learnable(material: Material, refit: Refit) -> list[str]:
    """Labels with enough of either kind from the deployment itself: else its style would be taken for the behaviour."""
    truth, heads = material.seen.truth, material.for_heads
    enough = []
    for column, label in enumerate(LABELS):
        mine, others = truth[material.deployed, column], truth[heads, column]
        calibrated = min(others.sum(), (~others).sum()) >= MIN_POSITIVES
        if min(mine.sum(), (~mine).sum()) >= refit.fewest and calibrated:
            enough.append(label)
    return enough


def _each(material: Material, label: str, refit: Refit) -> Vector:
    """Weights [conversations] with which neither side of the deployment, nor of the pairs, outweighs the other."""
    positive = material.seen.truth[:, LABELS.index(label)]
    each = _half_each(material.deployed, heaviest=refit.heaviest)
    for part in (material.deployed, ~material.deployed):
        each[part] *= evened(positive[part])
    return each


def _half_each(deployed: NDArray[np.bool_], *, heaviest: float) -> Vector:
    """Weights [conversations], 1 on average: labels and replayed pairs count the same, as far as `heaviest` allows."""
    labels, pairs = int(deployed.sum()), int((~deployed).sum())
    if not labels or not pairs:
        return np.ones(len(deployed))
    ratio = min(heaviest, max(1 / heaviest, pairs / labels))  # of a label to a pair
    each = np.where(deployed, ratio, 1.0)
    return np.asarray(each / each.mean())


def _pass_logit(material: Material, new: Vector, old_limit: float, *, stopped: float) -> float:
    """The new screen's limit: as many windows go past as before, and nearly all confirmed conversations.

    `new` [windows]: the new screen's logits for overall misalignment, of windows that it was not fitted on.
    """
    seen = material.seen
    share = float((seen.screen[:, _OVERALL] >= old_limit).mean())
    largest = seen.statistics(new)[:, 0]
    confirmed = largest[material.deployed & seen.positive]
    limits = [np.quantile(new, 1 - share, method="lower")]
    if len(confirmed):
        limits.append(np.quantile(confirmed, stopped, method="lower"))
    return float(np.floor(min(limits) * 1e4) / 1e4)


def _scored(seen: Observed, screen: Matrix, limit: float) -> Scored:
    """Through the cascade as it will be served."""
    passing = np.flatnonzero(screen[:, _OVERALL] >= limit)
    encoder = seen.summaries(seen.encoder, passing)
    return Scored(
        screen=seen.summaries(screen).statistics(),
        encoder=encoder.statistics(),
        truth=seen.truth,
        windows=np.bincount(seen.owner, minlength=len(seen)).astype(np.int64),
        encoded=encoder.count,
        groups=seen.groups,
    )
