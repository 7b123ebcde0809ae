"""Fast adaptation: a bundle and some confirmed labels of one deployment make a new bundle, in seconds.

The screen's weights for overall misalignment are refitted to the words of the deployment, and then the conversation
head over the new screen and the encoder as it was. Everything else of the bundle stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from detectors.bundle import SCREEN, Bundle, Manifest, load_bundle, rewritten
from detectors.calibration import LabelHeads
from detectors.taxonomy import LABELS, MISALIGNMENT
from retrain.ancestor import SCREEN_BASE, Ancestor
from retrain.fitting import fit_heads, threshold
from retrain.measurement import LEAST_THRESHOLD
from retrain.observed import Observed, Observer, Vector
from retrain.sources import LabelledConversation, data_digest, read_source
from retrain.words import FEWEST, LocalScreen, learn, screen_model

_COLUMN = LABELS.index(MISALIGNMENT)


def observe(
    bundle: Bundle, conversations: Sequence[LabelledConversation], *, max_windows: int, threads: int
) -> Observed:
    """Labelled conversations as `bundle` sees them, with the encoder over every window."""
    return Observer(bundle, max_windows=max_windows, threads=threads).observe(conversations)


@dataclass(frozen=True, slots=True)
class Adapted:
    """What adaptation changes."""

    screen: LocalScreen
    heads: LabelHeads

    def probabilities(self, seen: Observed) -> Vector:
        """Calibrated probabilities of overall misalignment, [conversations]; the encoder reads every window."""
        screen = seen.statistics(self.screen.logits(seen, MISALIGNMENT))
        rows = zip(screen.tolist(), seen.statistics(seen.encoder[:, _COLUMN]).tolist(), strict=True)
        return np.asarray([self.heads.ensemble.probability(*row) for row in rows])


def adapt(seen: Observed) -> Adapted:
    """Fits to confirmed labels. Raises `ValueError` with under `FEWEST` of either kind."""
    learnt = learn(seen, MISALIGNMENT)
    heads = fit_heads(
        seen.statistics(learnt.cross_fitted),
        seen.statistics(seen.encoder[:, _COLUMN]),
        seen.positive,
        seen.groups,
        fewest=FEWEST,
    )
    if heads is None:
        raise ValueError("the encoder gave no scores to adapt")
    return Adapted(learnt.screen, heads)


def write_adapted(folder: Path, files: Sequence[Path], out: Path, *, name: str, threads: int) -> Manifest:
    """A new bundle in `out`: the one in `folder`, adapted to the labelled conversations of `files`.

    Every window goes on to the encoder: what the old screen would have stopped says nothing about the new one. Raises
    `ValueError` with too few labels.
    """
    bundle = load_bundle(folder)
    conversations = [item for path in files for item in read_source(path)]
    seen = observe(bundle, conversations, max_windows=64, threads=threads)
    with threadpool_limits(limits=1):
        adapted = adapt(seen)
    scores = adapted.probabilities(seen)
    budget = bundle.manifest.false_positive_budget
    limit = max(LEAST_THRESHOLD, threshold(scores, seen.positive, false_positive_rate=budget))
    positives = int(seen.positive.sum())
    ancestor = Ancestor.of(bundle)
    return rewritten(
        folder,
        out,
        files={
            SCREEN: screen_model(bundle.files[SCREEN], {MISALIGNMENT: adapted.screen}),
            SCREEN_BASE: ancestor.screen,
        },
        name=name,
        pass_logit=-1e9,
        heads={**bundle.manifest.heads, MISALIGNMENT: adapted.heads},
        thresholds={**bundle.manifest.thresholds, MISALIGNMENT: limit},
        training={**bundle.manifest.training, **ancestor.recorded(ancestor.refitted | {MISALIGNMENT})},
        data={
            **bundle.manifest.data,
            "adapted_from": bundle.manifest.version,
            "adapted_to": {
                "digest": data_digest(list(files)),
                "misaligned": positives,
                "aligned": len(seen.positive) - positives,
            },
        },
    )
