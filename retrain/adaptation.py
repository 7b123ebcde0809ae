"""Fast adaptation: a bundle and some confirmed labels of one deployment make a new bundle, in seconds.

Words that tell the sides of one deployment apart are few and its own, and a linear model finds them quickly. So the
screen's weights for overall misalignment are refitted (its old opinion stays one of the inputs), and then the
conversation head over the new screen and the encoder as it was. Everything else of the bundle stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from detectors.bundle import ENCODER, SCREEN, TOKENIZER, Bundle, Manifest, load_bundle, rewritten
from detectors.calibration import LabelHeads
from detectors.classifier import Batcher
from detectors.ensemble import run
from detectors.features import StructuralFeatures
from detectors.loading import windower_of
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.summary import Summaries
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from retrain.dataset import cut
from retrain.fitting import fit_heads, fit_logistic, threshold
from retrain.hashing import hashed_counts, rarity
from retrain.measurement import LEAST_THRESHOLD
from retrain.sources import LabelledConversation, data_digest, read_source

FEWEST: Final = 5
"""Labels of either kind without which nothing is adapted."""

_FOLDS: Final = 5
Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observed:
    """Labelled conversations of one deployment, as the bundle sees them.

    `counts` [windows, buckets] as the screen hashes them; `screen`, `encoder` [windows]: its logits for overall
    misalignment; `owner` [windows]: the conversation of each window; `positive` [conversations].
    """

    counts: sparse.csr_matrix
    screen: Vector
    encoder: Vector
    owner: NDArray[np.intp]
    positive: NDArray[np.bool_]
    groups: tuple[str, ...]

    def only(self, rows: NDArray[np.intp]) -> Observed:
        """Some of the conversations, in the order of `rows`."""
        place = np.full(len(self.positive), -1)
        place[rows] = np.arange(len(rows))
        kept = np.flatnonzero(place[self.owner] >= 0)
        return Observed(
            self.counts[kept],
            self.screen[kept],
            self.encoder[kept],
            place[self.owner[kept]],
            self.positive[rows],
            tuple(self.groups[row] for row in rows.tolist()),
        )

    def mean_counts(self) -> sparse.csr_matrix:
        """[conversations, buckets]."""
        windows = np.bincount(self.owner, minlength=len(self.positive))
        shape = (len(self.positive), len(self.owner))
        mean = sparse.csr_matrix((1 / windows[self.owner], (self.owner, np.arange(len(self.owner)))), shape=shape)
        return sparse.csr_matrix(mean @ self.counts)

    def statistics(self, logits: Vector) -> Vector:
        """[conversations, STATISTICS] of window logits."""
        column = logits[:, None].astype(np.float32)
        return Summaries.of(column, self.owner, len(self.positive)).statistics()[:, 0]


def observe(
    bundle: Bundle, conversations: Sequence[LabelledConversation], *, max_windows: int, threads: int
) -> Observed:
    """Labelled conversations as `bundle` sees them, with the encoder over every window."""
    manifest = bundle.manifest
    tokenizer = TextTokenizer(bundle.files[TOKENIZER])
    windower = windower_of(manifest, tokenizer, max_windows=max_windows)
    kept = list(cut(conversations, windower))
    windows = [window for item in kept for window in item.windows]
    batcher = Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=16)
    screen, encoder = (
        run(
            OnnxClassifier(file, "", bundle.files[file], provider=Provider.CPU, threads=threads),
            batcher,
            windows,
            labels=len(LABELS),
        ).logits[:, LABELS.index(MISALIGNMENT)]
        for file in (SCREEN, ENCODER)
    )
    buckets = len(_arrays(onnx.load_from_string(bundle.files[SCREEN]))["table"])
    return Observed(
        hashed_counts(windows, buckets),
        screen.astype(np.float64),
        encoder.astype(np.float64),
        np.repeat(np.arange(len(kept)), [len(item.windows) for item in kept]),
        np.asarray([item.conversation.misaligned for item in kept]),
        tuple(item.conversation.group for item in kept),
    )


@dataclass(frozen=True, slots=True)
class LocalScreen:
    """New screen logit = `keep` * old logit + `counts` @ `weights` + `bias`."""

    keep: float
    weights: Vector
    bias: float

    def logits(self, seen: Observed) -> Vector:
        """[windows]."""
        return np.asarray(self.keep * seen.screen + seen.counts @ self.weights + self.bias)


@dataclass(frozen=True, slots=True)
class Adapted:
    """What adaptation changes."""

    screen: LocalScreen
    heads: LabelHeads

    def probabilities(self, seen: Observed) -> Vector:
        """Calibrated probabilities of overall misalignment, [conversations]; the encoder reads every window."""
        screen, encoder = seen.statistics(self.screen.logits(seen)), seen.statistics(seen.encoder)
        rows = zip(screen.tolist(), encoder.tolist(), strict=True)
        return np.asarray([self.heads.ensemble.probability(*row) for row in rows])


def adapt(seen: Observed) -> Adapted:
    """Fits to confirmed labels. Raises `ValueError` with under `FEWEST` of either kind."""
    if min(seen.positive.sum(), (~seen.positive).sum()) < FEWEST:
        raise ValueError(f"adapting needs at least {FEWEST} confirmed conversations of either kind")
    # What the local words say of conversations that they were not fitted on, and how much that is worth.
    unseen = np.empty(len(seen.owner))
    for rest, fold in _folds(seen):
        words = _local_words(seen.only(rest))
        rows = np.isin(seen.owner, fold)
        unseen[rows] = seen.counts[rows] @ words
    old, new = seen.statistics(seen.screen)[:, 2], seen.statistics(unseen)[:, 2]
    (keep, trust), _ = fit_logistic(np.stack([old, new], axis=1), seen.positive)
    if trust == 0:  # the words of this deployment tell nothing yet
        keep, trust = 1.0, 0.0
    crossed = LocalScreen(float(keep), np.zeros(0), 0.0)
    cross_fitted = crossed.keep * seen.screen + trust * unseen
    heads = fit_heads(
        seen.statistics(cross_fitted), seen.statistics(seen.encoder), seen.positive, seen.groups, fewest=FEWEST
    )
    if heads is None:
        raise ValueError("the encoder gave no scores to adapt")
    return Adapted(replace(crossed, weights=float(trust) * _local_words(seen)), heads)


def _folds(seen: Observed) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    parts = min(_FOLDS, int(seen.positive.sum()), int((~seen.positive).sum()), len(set(seen.groups)))
    folds = StratifiedGroupKFold(max(2, parts)).split(seen.positive, seen.positive, seen.groups)
    return [(rest, fold) for rest, fold in folds if 0 < seen.positive[rest].sum() < len(rest)]


def _local_words(seen: Observed) -> Vector:
    """Weights [buckets] of a logistic regression on mean counts, rare buckets weighted up (inverse frequency)."""
    x = seen.mean_counts()
    scale = rarity(x)
    model = LogisticRegression(C=10.0, class_weight="balanced", solver="liblinear")
    model.fit(x @ sparse.diags(scale), seen.positive)
    return np.asarray(model.coef_[0] * scale)


def screen_model(model: bytes, local: LocalScreen, *, label: int) -> bytes:
    """The screen's ONNX file with its weights for `label` replaced."""
    graph = onnx.load_from_string(model)
    arrays = _arrays(graph)
    arrays["table"][:, label] = (local.keep * arrays["table"][:, label] + local.weights).astype(np.float16)
    arrays["feature_weight"][label] *= local.keep
    arrays["feature_bias"][label] = local.keep * arrays["feature_bias"][label] + local.bias
    for each in graph.graph.initializer:
        each.CopyFrom(numpy_helper.from_array(arrays[each.name], each.name))
    return bytes(graph.SerializeToString())


def _arrays(graph: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    return {each.name: numpy_helper.to_array(each).copy() for each in graph.graph.initializer}


def write_adapted(folder: Path, files: Sequence[Path], out: Path, *, name: str, threads: int) -> Manifest:
    """A new bundle in `out`: the one in `folder`, adapted to the labelled conversations of `files`.

    Every window goes on to the encoder: what the old screen would have stopped says nothing about the new one. Raises
    `ValueError` with too few labels.
    """
    bundle = load_bundle(folder)
    conversations = [item for path in files for item in read_source(path)]
    seen = observe(bundle, conversations, max_windows=64, threads=threads)
    adapted = adapt(seen)
    scores = adapted.probabilities(seen)
    budget = bundle.manifest.false_positive_budget
    limit = max(LEAST_THRESHOLD, threshold(scores, seen.positive, false_positive_rate=budget))
    model = screen_model(bundle.files[SCREEN], adapted.screen, label=LABELS.index(MISALIGNMENT))
    positives = int(seen.positive.sum())
    return rewritten(
        folder,
        out,
        files={SCREEN: model},
        name=name,
        pass_logit=-1e9,
        heads={**bundle.manifest.heads, MISALIGNMENT: adapted.heads},
        thresholds={**bundle.manifest.thresholds, MISALIGNMENT: limit},
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
