"""Champion and candidate side by side, each through the cascade as it is served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.bundle import ENCODER, TOKENIZER, Bundle
from detectors.loading import windower_of
from detectors.taxonomy import LABELS, NEVER_AN_ALERT
from detectors.tokens import TextTokenizer
from retrain.dataset import CutConversation
from retrain.gate.remembering import Memory, Remembering
from retrain.gate.sheet import Opinions, joined
from retrain.measurement import Decision, Served
from retrain.sources import LabelledConversation

_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Contender:
    """One bundle, loaded."""

    bundle: Bundle
    tokenizer: TextTokenizer
    served: Served

    @property
    def cutting(self) -> tuple[object, ...]:
        """What decides how windows are cut: bundles that have it in common can share them."""
        manifest = self.bundle.manifest
        digest = manifest.files[TOKENIZER].sha256
        return digest, manifest.max_tokens, manifest.overlap, manifest.context_chars

    def cut(self, conversations: Sequence[LabelledConversation], *, max_windows: int) -> list[CutConversation]:
        """All of them, also those in which the agent says nothing."""
        windower = windower_of(self.bundle.manifest, self.tokenizer, max_windows=max_windows)
        return [CutConversation(each, windower.cut(each.event.messages).windows) for each in conversations]


def contender(bundle: Bundle, *, threads: int) -> Contender:
    """Raises `BundleError` where a model cannot be loaded."""
    tokenizer = TextTokenizer(bundle.files[TOKENIZER])
    served = Served(bundle.files, tokenizer, pass_logit=bundle.manifest.pass_logit, threads=threads)
    return Contender(bundle, tokenizer, served)


class Memories:
    """What was computed, by model file: where both bundles have the same encoder, it runs once for both."""

    def __init__(self) -> None:
        self._by_file: defaultdict[str, Memory] = defaultdict(dict)

    def attach(self, each: Contender) -> None:
        """From here on `each` looks here first."""
        files = each.bundle.manifest.files
        each.served.wrap_classifiers(lambda model: Remembering(model, self._by_file[files[model.name].sha256]))


def encoder_shared(champion: Bundle, candidate: Bundle) -> bool:
    """Whether both have the very same encoder file."""
    return champion.manifest.files[ENCODER] == candidate.manifest.files[ENCODER]


def opinions(each: Contender, cut: Sequence[CutConversation], *, share: Callable[[float], None]) -> Opinions:
    """What `each` makes of all of `cut`, in order. `share` is told how much is done."""
    parts = []
    for first in range(0, len(cut), _CHUNK):
        parts.append(_opinions(each, cut[first : first + _CHUNK]))
        share(min(1.0, (first + _CHUNK) / len(cut)))
    return joined(parts)


def _opinions(each: Contender, cut: Sequence[CutConversation]) -> Opinions:
    """As `detectors.detector.Detector` decides: no windows or no number, no flag."""
    manifest = each.bundle.manifest
    scored = each.served.score(cut)
    finite = np.isfinite(scored.screen).all(axis=(1, 2))
    finite &= np.isfinite(scored.encoder).all(axis=(1, 2)) | (scored.encoded == 0)
    probabilities = np.zeros((len(cut), len(LABELS)))
    flagged = np.zeros(len(cut), dtype=np.bool_)
    decision = Decision(manifest.heads, manifest.thresholds, share_misaligned=float("nan"))
    heard = scored.only(finite)
    for label in manifest.heads:
        column = LABELS.index(label)
        probabilities[finite, column] = decision.probabilities(heard, label)
        if label not in NEVER_AN_ALERT:
            flagged |= finite & (probabilities[:, column] >= manifest.thresholds[label])
    return Opinions(probabilities, flagged, finite)
