"""Fake classifiers, and detectors and windows made of them, for tests that need particular scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.bundle import TOKENIZER, Bundle, Manifest, load_bundle
from detectors.calibration import Head, LabelHeads
from detectors.classifier import Batcher, ClassifierOutput, WindowBatch
from detectors.detector import Detector
from detectors.ensemble import Cascade
from detectors.features import FEATURE_NAMES, StructuralFeatures
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Piece, Speaker, Window, Windower

WORDPIECE = Path(__file__).parents[2] / "data" / "wordpiece.json"


@pytest.fixture(scope="session")
def shipped_bundle() -> Bundle:
    return load_bundle(DEFAULT_BUNDLE)


@pytest.fixture(scope="session")
def tokenizer() -> TextTokenizer:
    """WordPiece, with the words of these tests as tokens of their own; the shipped one has tests of its own."""
    return TextTokenizer(WORDPIECE.read_bytes())


@pytest.fixture(scope="session")
def shipped_tokenizer(shipped_bundle: Bundle) -> TextTokenizer:
    return TextTokenizer(shipped_bundle.files[TOKENIZER])


@pytest.fixture(scope="session")
def features(tokenizer: TextTokenizer) -> StructuralFeatures:
    return StructuralFeatures(tokenizer)


class TokenClassifier:
    """Logits are `bias` plus the weights of the tokens that it knows: `weights[token id][label]`."""

    version = "fake"

    def __init__(self, name: str, weights: Mapping[int, Mapping[str, float]], bias: float) -> None:
        self.name = name
        self.windows_seen: list[tuple[int, ...]] = []
        self._bias = bias
        self._table = np.zeros((40_000, len(LABELS)), dtype=np.float32)
        for token, by_label in weights.items():
            for label, weight in by_label.items():
                self._table[token, LABELS.index(label)] = weight

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True):
            self.windows_seen.append(tuple(ids[mask == 1].tolist()))
        contributions = self._table[batch.input_ids] * batch.agent_mask[:, :, None].astype(np.float32)
        logits = contributions.sum(axis=1, dtype=np.float32) + np.float32(self._bias)
        return ClassifierOutput(logits.astype(np.float32), contributions)


@pytest.fixture(scope="session")
def token_classifier() -> Callable[..., TokenClassifier]:
    def make(weights: Mapping[int, Mapping[str, float]], *, bias: float = -4.0, name: str = "fake") -> TokenClassifier:
        return TokenClassifier(name, weights, bias)

    return make


@pytest.fixture(scope="session")
def make_window() -> Callable[..., Window]:
    """A window of one piece with these token ids; token i stands for character i of part 0 of message 0."""

    def make(ids: Sequence[int], *, message_id: str = "m", speaker: Speaker = Speaker.ASSISTANT) -> Window:
        count = len(ids)
        piece: NDArray[np.int16] = np.zeros(count + 2, dtype=np.int16)
        piece[[0, -1]] = -1
        start = np.clip(np.arange(-1, count + 1), 0, None).astype(np.int32)
        end = (start + 1).astype(np.int32)
        end[[0, -1]] = start[[0, -1]] = 0
        input_ids = np.asarray([101, *ids, 102], dtype=np.int32)
        return Window(input_ids, piece, start, end, (Piece(message_id, 0, 0, speaker),))

    return make


@pytest.fixture(scope="session")
def make_cascade(tokenizer: TextTokenizer, features: StructuralFeatures) -> Callable[..., Cascade]:
    def make(screen: Any, encoder: Any, *, pass_logit: float = 0.0, audit_share: float = 0.0, size: int = 4) -> Cascade:
        return Cascade(
            screen,
            encoder,
            Batcher(features, pad_id=tokenizer.pad_id, size=size),
            pass_logit=pass_logit,
            pass_label=LABELS.index(MISALIGNMENT),
            labels=len(LABELS),
            audit_share=audit_share,
        )

    return make


LOGIT = LabelHeads(
    screen=Head(screen=(1.0, 0.0, 0.0), intercept=0.0),
    ensemble=Head(encoder=(1.0, 0.0, 0.0), intercept=0.0),
    encoder_alone=Head(encoder=(1.0, 0.0, 0.0), intercept=0.0),
)
"""Takes the largest logit for what it is."""


@pytest.fixture(scope="session")
def description() -> dict[str, Any]:
    """The fields of a valid manifest, less files and version."""
    return {
        "name": "tiny",
        "labels": LABELS,
        "features": FEATURE_NAMES,
        "max_tokens": 64,
        "overlap": 8,
        "context_chars": 300,
        "pass_logit": 0.0,
        "heads": {MISALIGNMENT: LOGIT},
        "thresholds": {MISALIGNMENT: 0.5},
        "false_positive_budget": 0.01,
        "data": {"sources": ["made up"], "conversations": 3},
        "training": {"seed": 7},
        "metrics": {"recall": {"value": 0.5, "low": 0.25}},
    }


@pytest.fixture(scope="session")
def make_detector(
    tokenizer: TextTokenizer,
    token_classifier: Callable[..., TokenClassifier],
    make_cascade: Callable[..., Cascade],
    description: dict[str, Any],
) -> Callable[..., Detector]:
    """A detector whose encoder fires on words: `words={"sabotage": ("wreck", 8.0)}`; its screen on any of them.

    It knows a word by its last token. Its probabilities are the sigmoid of -4 plus the word's weight.
    """

    def make(
        words: Mapping[str, tuple[str, float]] | None = None,
        *,
        thresholds: Mapping[str, float] | None = None,
        version: str = "fake-1",
        pass_logit: float = 0.0,
        max_windows: int = 8,
        audit_share: float = 0.0,
        screen: Any = None,
        encoder: Any = None,
    ) -> Detector:
        weights: dict[int, dict[str, float]] = {}
        for label, (word, weight) in (words or {}).items():
            token = tokenizer.plain(word).tolist()[-1]
            weights.setdefault(token, {})[label] = weight
        covered = thresholds or dict.fromkeys(LABELS, 0.5)
        manifest = Manifest.model_validate(
            {
                **description,
                "version": version,
                "files": {
                    name: {"sha256": "0" * 64, "bytes": 0} for name in ("tokenizer.json", "screen.onnx", "encoder.onnx")
                },
                "heads": dict.fromkeys(covered, LOGIT),
                "thresholds": covered,
            }
        )
        screen = screen or token_classifier({token: {MISALIGNMENT: 9.0} for token in weights}, name="screen")
        encoder = encoder or token_classifier(weights, name="encoder")
        cascade = make_cascade(screen, encoder, pass_logit=pass_logit, audit_share=audit_share)
        windower = Windower(tokenizer, max_tokens=64, overlap=8, max_windows=max_windows, context_chars=300)
        return Detector(manifest, windower, cascade)

    return make
