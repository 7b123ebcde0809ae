"""The models as they will be served, over labelled conversations: calibration, thresholds and honest numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from detectors.bundle import ENCODER, SCREEN
from detectors.calibration import LabelCalibration
from detectors.classifier import Batcher
from detectors.ensemble import Cascade
from detectors.features import StructuralFeatures
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.dataset import CutConversation, cut
from retrain.evaluation import measure
from retrain.fitting import calibrate, threshold
from retrain.sources import LabelledConversation

_CHUNK = 64

LEAST_THRESHOLD = 0.5
"""Nothing is flagged that is more likely not so, however far below the budget that leaves a label."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Largest window logits [conversations, labels] (-inf: no window went that far), truth and number of windows."""

    screen: NDArray[np.float32]
    encoder: NDArray[np.float32]
    truth: NDArray[np.bool_]
    windows: NDArray[np.int64]


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
        self._cascade = Cascade(
            screen,
            encoder,
            Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=batch_size),
            pass_logit=pass_logit,
            pass_label=LABELS.index(MISALIGNMENT),
            labels=len(LABELS),
            audit_share=0.0,
        )

    def score(self, conversations: Sequence[CutConversation]) -> Scored:
        """Logits of `conversations`, in order."""
        parts = [
            self._cascade.score([item.windows for item in conversations[first : first + _CHUNK]]).scores
            for first in range(0, len(conversations), _CHUNK)
        ]
        return Scored(
            screen=np.concatenate([part.screen for part in parts]),
            encoder=np.concatenate([part.encoder for part in parts]),
            truth=np.stack([item.conversation.labels for item in conversations]) > 0,
            windows=np.asarray([len(item.windows) for item in conversations]),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """How logits become probabilities and flags."""

    calibration: dict[str, LabelCalibration]
    thresholds: dict[str, float]
    share_misaligned: float

    def probabilities(self, scored: Scored, label: str) -> NDArray[np.float64]:
        """Calibrated probabilities [conversations], through the cascade: stopped at the screen or not."""
        column = LABELS.index(label)
        calibration = self.calibration[label]
        passing = np.isfinite(scored.encoder[:, column])
        return np.asarray(
            [
                calibration.ensemble.probability(float(x), float(s))
                if passes
                else calibration.screen.probability(0.0, float(s))
                for x, s, passes in zip(scored.encoder[:, column], scored.screen[:, column], passing, strict=True)
            ]
        )

    def measure(self, scored: Scored, *, seed: int) -> dict[str, JsonValue]:
        """Per covered label: ranking, recall at low false-positive rates, what is flagged; and length alone."""
        report: dict[str, JsonValue] = {}
        for label in self.calibration:
            positive = scored.truth[:, LABELS.index(label)]
            if label != MISALIGNMENT and not positive.any():
                continue
            scores = self.probabilities(scored, label)
            flags = scores >= self.thresholds[label]
            report[label] = {
                **measure(scores, positive, seed=seed),
                "flagged_of_misaligned": _share(flags[positive]),
                "flagged_of_aligned": _share(flags[~positive]),
            }
        truth = scored.truth[:, LABELS.index(MISALIGNMENT)]
        report["length_alone"] = measure(scored.windows.astype(np.float64), truth, seed=seed)
        passing = np.isfinite(scored.encoder[:, LABELS.index(MISALIGNMENT)])
        report["conversations_past_the_screen"] = _share(passing)
        return report


def pass_logit(screened: Scored, *, pass_recall: float) -> float:
    """The screen's limit that lets this share of the misaligned conversations through."""
    overall = LABELS.index(MISALIGNMENT)
    misaligned = screened.screen[screened.truth[:, overall], overall]
    return math.floor(float(np.quantile(misaligned, 1 - pass_recall, method="lower")) * 1e4) / 1e4


def decide(scored: Scored, *, false_positive_budget: float) -> Decision:
    """Calibration and thresholds, from held-out conversations that went through the cascade as it will be served."""
    misaligned = scored.truth[:, LABELS.index(MISALIGNMENT)]
    calibration = {}
    for column, label in enumerate(LABELS):
        fitted = calibrate(scored.encoder[:, column], scored.screen[:, column], scored.truth[:, column])
        if fitted is not None:
            calibration[label] = fitted
    undecided = Decision(calibration, thresholds={}, share_misaligned=round(float(misaligned.mean()), 4))
    thresholds = {
        label: max(
            LEAST_THRESHOLD,
            threshold(undecided.probabilities(scored, label), misaligned, false_positive_rate=false_positive_budget),
        )
        for label in calibration
    }
    return Decision(calibration, thresholds, undecided.share_misaligned)


def measure_folder(
    served: Served, decision: Decision, conversations: list[LabelledConversation], windower: Windower, *, seed: int
) -> dict[str, JsonValue]:
    """`decision.measure` over conversations that had no part in it."""
    return decision.measure(served.score(list(cut(conversations, windower))), seed=seed)


def pairs_ranked_right(decision: Decision, scored: Scored, groups: Sequence[str]) -> dict[str, JsonValue]:
    """Of contrastive pairs (`groups` says who belongs together), those whose misaligned twin scores higher.

    Neither topic nor length nor base rate helps here: chance is one half.
    """
    scores = decision.probabilities(scored, MISALIGNMENT)
    misaligned = scored.truth[:, LABELS.index(MISALIGNMENT)]
    twins: dict[str, dict[bool, float]] = {}
    for group, truth, score in zip(groups, misaligned.tolist(), scores.tolist(), strict=True):
        twins.setdefault(group, {})[truth] = score
    complete = [pair for pair in twins.values() if len(pair) == 2]
    return {"pairs": len(complete), "ranked_right": sum(pair[True] > pair[False] for pair in complete)}


def _share(flags: NDArray[np.bool_]) -> float | None:
    return round(float(flags.mean()), 4) if len(flags) else None
