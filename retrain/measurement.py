"""The models as they will be served, over labelled conversations: heads, thresholds and honest numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from detectors.bundle import ENCODER, SCREEN
from detectors.calibration import LabelHeads
from detectors.classifier import Batcher, Classifier
from detectors.ensemble import Cascade, run
from detectors.features import StructuralFeatures
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.summary import Summaries
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from retrain.corpus.pairs import SOURCE
from retrain.dataset import CutConversation
from retrain.evaluation import auroc, calibration_error, length_matched_auroc, measure
from retrain.fitting import fit_heads, threshold

_CHUNK = 64

LEAST_THRESHOLD = 0.5
"""Nothing is flagged that is more likely not so, however far below the budget that leaves a label."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What both classifiers make of labelled conversations.

    `screen` and `encoder`: statistics [conversations, labels, STATISTICS] (-inf: no window went that far); `truth`
    [conversations, labels]; `windows`, `encoded` [conversations]: how many there are and how many the encoder read.
    """

    screen: NDArray[np.float64]
    encoder: NDArray[np.float64]
    truth: NDArray[np.bool_]
    windows: NDArray[np.int64]
    encoded: NDArray[np.int64]
    groups: tuple[str, ...]

    def only(self, rows: NDArray[np.bool_]) -> Scored:
        """Some of the conversations."""
        groups = tuple(group for group, row in zip(self.groups, rows.tolist(), strict=True) if row)
        return Scored(
            self.screen[rows], self.encoder[rows], self.truth[rows], self.windows[rows], self.encoded[rows], groups
        )


class Served:
    """The cascade from its model files, on the CPU. With a `pass_logit` of infinity the encoder never runs."""

    def __init__(
        self,
        files: dict[str, bytes],
        tokenizer: TextTokenizer,
        *,
        pass_logit: float,
        threads: int,
        batch_size: int = 16,
    ) -> None:
        screen, encoder = (
            OnnxClassifier(file, "", files[file], provider=Provider.CPU, threads=threads) for file in (SCREEN, ENCODER)
        )
        self._screen = screen
        self._batcher = Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=batch_size)
        self._cascade = Cascade(
            screen,
            encoder,
            self._batcher,
            pass_logit=pass_logit,
            pass_label=LABELS.index(MISALIGNMENT),
            labels=len(LABELS),
            audit_share=0.0,
        )

    def wrap_classifiers(self, wrap: Callable[[Classifier], Classifier]) -> None:
        """Puts something around both classifiers, such as a memory. A classifier is named after its file."""
        self._cascade.screen, self._cascade.encoder = wrap(self._cascade.screen), wrap(self._cascade.encoder)

    def screen_logits(self, conversations: Sequence[CutConversation]) -> NDArray[np.float32]:
        """The screen's logits for overall misalignment, [windows] of all conversations."""
        windows = [window for item in conversations for window in item.windows]
        scored = run(self._screen, self._batcher, windows, labels=len(LABELS))
        return np.asarray(scored.logits[:, LABELS.index(MISALIGNMENT)])

    def score(self, conversations: Sequence[CutConversation]) -> Scored:
        """`conversations`, in order."""
        parts = [
            self._cascade.score([item.windows for item in conversations[first : first + _CHUNK]]).scores
            for first in range(0, len(conversations), _CHUNK)
        ]

        def joined(summaries: Sequence[Summaries]) -> NDArray[np.float64]:
            return np.concatenate([summary.statistics() for summary in summaries])

        return Scored(
            screen=joined([part.screen for part in parts]),
            encoder=joined([part.encoder for part in parts]),
            truth=np.stack([item.conversation.labels for item in conversations]) > 0,
            windows=np.asarray([len(item.windows) for item in conversations]),
            encoded=np.concatenate([part.encoder.count for part in parts]),
            groups=tuple(f"{item.conversation.source}/{item.conversation.group}" for item in conversations),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """How statistics become probabilities and flags."""

    heads: dict[str, LabelHeads]
    thresholds: dict[str, float]
    share_misaligned: float

    def probabilities(self, scored: Scored, label: str) -> NDArray[np.float64]:
        """Calibrated probabilities [conversations], through the cascade: stopped at the screen or not."""
        column, heads = LABELS.index(label), self.heads[label]
        rows = zip(scored.screen[:, column].tolist(), scored.encoder[:, column].tolist(), scored.encoded, strict=True)
        return np.asarray(
            [
                heads.ensemble.probability(screen, encoder) if encoded else heads.screen.probability(screen)
                for screen, encoder, encoded in rows
            ]
        )

    def screen_alone(self, scored: Scored, label: str) -> NDArray[np.float64]:
        """What the screen by itself would say: probabilities [conversations]."""
        head = self.heads[label].screen
        return np.asarray([head.probability(row) for row in scored.screen[:, LABELS.index(label)].tolist()])

    def measure(self, scored: Scored, *, seed: int) -> dict[str, JsonValue]:
        """Per covered label: ranking, recall at low false-positive rates, calibration, what is flagged; and length."""
        report: dict[str, JsonValue] = {}
        length = scored.windows.astype(np.float64)
        for label in self.heads:
            positive = scored.truth[:, LABELS.index(label)]
            if label != MISALIGNMENT and not positive.any():
                continue
            scores = self.probabilities(scored, label)
            flags = scores >= self.thresholds[label]
            report[label] = {
                **measure(scores, positive, seed=seed),
                **_if_both(positive, length_matched=length_matched_auroc(scores, positive, scored.windows)),
                "calibration_error": calibration_error(scores, positive),
                "flagged_of_misaligned": _share(flags[positive]),
                "flagged_of_aligned": _share(flags[~positive]),
            }
        truth = scored.truth[:, LABELS.index(MISALIGNMENT)]
        report["length_alone"] = measure(length, truth, seed=seed)
        report["screen_alone"] = measure(self.screen_alone(scored, MISALIGNMENT), truth, seed=seed)
        report["windows_past_the_screen"] = round(float(scored.encoded.sum() / max(1, scored.windows.sum())), 4)
        return report


def _if_both(positive: NDArray[np.bool_], **numbers: float | None) -> dict[str, JsonValue]:
    return dict(numbers) if positive.any() and not positive.all() else {}


def pass_logit(screened: NDArray[np.float32], *, share: float) -> float:
    """The screen's limit that lets this share of windows through, from their logits [windows]."""
    return math.floor(float(np.quantile(screened, 1 - share, method="lower")) * 1e4) / 1e4


def decide(
    scored: Scored,
    *,
    false_positive_budget: float,
    weights: NDArray[np.float64] | None = None,
    prior: Mapping[str, LabelHeads] | None = None,
) -> Decision:
    """Heads and thresholds, from held-out conversations that went through the cascade as it will be served.

    `weights` [conversations]: how much each counts in the heads; by source where they are not given. `prior`: heads
    that hold as long as nothing speaks against them.
    """
    misaligned = scored.truth[:, LABELS.index(MISALIGNMENT)]
    heads = {}
    each = _source_weights(scored.groups) if weights is None else weights
    for column, label in enumerate(LABELS):
        screen, encoder, truth = scored.screen[:, column], scored.encoder[:, column], scored.truth[:, column]
        fitted = fit_heads(screen, encoder, truth, scored.groups, weights=each, prior=(prior or {}).get(label))
        if fitted is not None:
            heads[label] = fitted
    undecided = Decision(heads, thresholds={}, share_misaligned=round(float(misaligned.mean()), 4))
    thresholds = {
        label: max(
            LEAST_THRESHOLD,
            threshold(undecided.probabilities(scored, label), misaligned, false_positive_rate=false_positive_budget),
        )
        for label in heads
    }
    return Decision(heads, thresholds, undecided.share_misaligned)


PAIRS_SHARE = 0.5
"""Of the head's fit, for contrastive pairs: public sources can be told apart by what they look like, pairs cannot."""


def _source_weights(groups: Sequence[str]) -> NDArray[np.float64]:
    """Weights [conversations], 1 on average: pairs have their share, all other sources the same part of the rest."""
    sources = [group.split("/", 1)[0] for group in groups]
    counts = Counter(sources)
    others = len(counts) - (SOURCE in counts)
    pairs_share = 0.0 if SOURCE not in counts else PAIRS_SHARE if others else 1.0
    shares = {name: pairs_share if name == SOURCE else (1 - pairs_share) / others for name in counts}
    return np.asarray([len(sources) * shares[source] / counts[source] for source in sources])


def pairs_ranked_right(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], groups: Sequence[str]
) -> dict[str, int]:
    """Of contrastive pairs (`groups` says who belongs together), those whose misaligned twin scores higher.

    Neither topic nor length nor base rate helps here: chance is one half.
    """
    twins: dict[str, dict[bool, float]] = {}
    for group, truth, score in zip(groups, positive.tolist(), scores.tolist(), strict=True):
        twins.setdefault(group, {})[truth] = score
    complete = [pair for pair in twins.values() if len(pair) == 2]
    return {"pairs": len(complete), "ranked_right": sum(pair[True] > pair[False] for pair in complete)}


def auroc_of(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float | None:
    """AUROC, or None where there is but one class."""
    return round(auroc(scores, positive), 4) if positive.any() and not positive.all() else None


def _share(flags: NDArray[np.bool_]) -> float | None:
    return round(float(flags.mean()), 4) if len(flags) else None
