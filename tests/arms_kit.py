"""Detectors that can be told apart: by what they cut, by what they score, and by how they fail."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from deploy.rollout.state import Rollout, RolloutStage, Step
from detectors.bundle import TOKENIZER, Bundle, FileDigest, Manifest
from detectors.calibration import Head, LabelHeads
from detectors.classifier import Batcher, ClassifierOutput, WindowBatch
from detectors.detector import Detector
from detectors.ensemble import Cascade
from detectors.features import StructuralFeatures
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower

WORDPIECE = Path(__file__).parent / "data" / "wordpiece.json"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Broken(Exception):
    """What a detector of these tests raises."""


class Panic(BaseException):
    """As native code ends a call: no `Exception`."""


@dataclass
class Flat:
    """The same logit for every window and label, and refused where the windows are of another tokenizer.

    `fails`: None, an exception to raise, or "nan".
    """

    name: str
    version: str
    logit: float
    first_token: int
    fails: Any = None
    calls: list[int] = field(default_factory=list)

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        self.calls.append(len(batch))
        if isinstance(self.fails, BaseException):
            raise self.fails
        assert (batch.input_ids[:, 0] == self.first_token).all(), "these windows were cut by another tokenizer"
        contributions = np.zeros((*batch.input_ids.shape, len(LABELS)), dtype=np.float32)
        logit = np.nan if self.fails == "nan" else self.logit
        return ClassifierOutput(np.full((len(batch), len(LABELS)), logit, dtype=np.float32), contributions)


class Kit:
    """Makes detectors and rollouts."""

    def __init__(self, bundle: Bundle) -> None:
        self._manifest = bundle.manifest
        self._definitions = {"shipped": bundle.files[TOKENIZER], "wordpiece": WORDPIECE.read_bytes()}
        self._tokenizers = {name: TextTokenizer(data) for name, data in self._definitions.items()}
        self._features = {name: StructuralFeatures(each) for name, each in self._tokenizers.items()}

    def detector(
        self, version: str, *, logit: float = 1.0, tokenizer: str = "shipped", fails: Any = None, max_tokens: int = 64
    ) -> Detector:
        """Its overall probability is the sigmoid of `logit`; at 0 and above it flags."""
        cut = self._tokenizers[tokenizer]
        screen, encoder = (Flat(name, version, logit, cut.cls_id, fails) for name in ("screen", "encoder"))
        cascade = Cascade(
            screen,
            encoder,
            Batcher(self._features[tokenizer], pad_id=cut.pad_id, size=16),
            pass_logit=0.0,
            pass_label=LABELS.index(MISALIGNMENT),
            labels=len(LABELS),
            audit_share=0.0,
        )
        manifest = self._of(version, tokenizer, max_tokens)
        windower = Windower(cut, max_tokens=max_tokens, overlap=8, max_windows=8, context_chars=300)
        return Detector(manifest, windower, cascade)

    def _of(self, version: str, tokenizer: str, max_tokens: int) -> Manifest:
        head = Head(screen=(1.0, 0.0, 0.0), intercept=0.0)
        encoder = Head(encoder=(1.0, 0.0, 0.0), intercept=0.0)
        definition = self._definitions[tokenizer]
        digest = FileDigest(sha256=hashlib.sha256(definition).hexdigest(), bytes=len(definition))
        return self._manifest.model_copy(
            update={
                "version": version,
                "files": {**self._manifest.files, TOKENIZER: digest},
                "max_tokens": max_tokens,
                "overlap": 8,
                "context_chars": 300,
                "heads": {MISALIGNMENT: LabelHeads(screen=head, ensemble=encoder, encoder_alone=encoder)},
                "thresholds": {MISALIGNMENT: 0.5},
            }
        )

    def rollout(self, stable: str, candidate: str | None = None, **fields: Any) -> Rollout:
        """In canary where there is a `share`, else in shadow, or steady without a candidate."""
        stage = RolloutStage.CANARY if "share" in fields else RolloutStage.SHADOW
        body = {
            "revision": 1,
            "stage": RolloutStage.STEADY if candidate is None else stage,
            "stable": stable,
            "candidate": candidate,
            "salt": "s",
            "step": Step.STARTED,
            "actor": "ada",
            "reason": "tests",
            "at": NOW,
            "stage_began_at": NOW,
        }
        return Rollout.model_validate({**body, **fields})


def classifiers(detector: Detector) -> tuple[Flat, Flat]:
    """(screen, encoder), whatever is around them."""
    found: list[Any] = []
    detector.wrap_classifiers(lambda classifier: found.append(classifier) or classifier)
    return found[0], found[1]
