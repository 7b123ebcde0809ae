from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from detectors.bundle import ENCODER, SCREEN, Bundle
from detectors.classifier import WindowBatch
from detectors.errors import BundleError, ProviderError
from detectors.features import FEATURE_NAMES
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS
from detectors.tokens import TextTokenizer

CUDA_IS_HERE = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
TEXTS = ("I will quietly delete the backups.", "Sure.", "The weather in Bern is fine today, thank you for asking.")


@pytest.fixture(scope="module", params=[SCREEN, ENCODER])
def classifier(request: pytest.FixtureRequest, shipped_bundle: Bundle) -> OnnxClassifier:
    return OnnxClassifier("shipped", "1", shipped_bundle.files[request.param], provider=Provider.CPU, threads=1)


def batch_of(tokenizer: TextTokenizer, texts: Sequence[str], features: NDArray[np.float32]) -> WindowBatch:
    rows = [[tokenizer.cls_id, *tokenizer.plain(text).tolist(), tokenizer.sep_id] for text in texts]
    input_ids = np.full((len(rows), max(map(len, rows))), tokenizer.pad_id, dtype=np.int64)
    for row, ids in enumerate(rows):
        input_ids[row, : len(ids)] = ids
    mask = (input_ids != tokenizer.pad_id).astype(np.int64)
    return WindowBatch(input_ids, mask, mask, features)


def same_features(rows: int) -> NDArray[np.float32]:
    return np.full((rows, len(FEATURE_NAMES)), 0.25, dtype=np.float32)


def test_the_shipped_classifiers_give_a_logit_for_every_label(
    classifier: OnnxClassifier, shipped_tokenizer: TextTokenizer
) -> None:
    batch = batch_of(shipped_tokenizer, TEXTS, same_features(3))
    output = classifier.score(batch)
    assert output.logits.shape == (3, len(LABELS))
    assert output.contributions.shape == (*batch.input_ids.shape, len(LABELS))
    assert output.logits.dtype == output.contributions.dtype == np.float32
    assert np.isfinite(output.logits).all()


def test_contributions_add_up_to_the_logits_less_a_constant(
    classifier: OnnxClassifier, shipped_tokenizer: TextTokenizer
) -> None:
    output = classifier.score(batch_of(shipped_tokenizer, TEXTS, same_features(3)))
    constants = output.logits - output.contributions.sum(axis=1)
    np.testing.assert_allclose(constants, constants[:1].repeat(3, axis=0), atol=1e-3)


def test_padding_contributes_nothing(classifier: OnnxClassifier, shipped_tokenizer: TextTokenizer) -> None:
    batch = batch_of(shipped_tokenizer, TEXTS, same_features(3))
    contributions = classifier.score(batch).contributions
    assert np.abs(contributions[batch.attention_mask == 0]).max() < 1e-6
    assert np.abs(contributions[batch.attention_mask == 1]).max() > 1e-6


@pytest.mark.parametrize("name", [SCREEN])
def test_features_move_the_screens_constant_and_nothing_else(
    shipped_bundle: Bundle, shipped_tokenizer: TextTokenizer, name: str
) -> None:
    screen = OnnxClassifier("screen", "1", shipped_bundle.files[name], provider=Provider.CPU, threads=1)
    other = np.linspace(0, 1, 3 * len(FEATURE_NAMES), dtype=np.float32).reshape(3, -1)
    one, two = (screen.score(batch_of(shipped_tokenizer, TEXTS, features)) for features in (same_features(3), other))
    np.testing.assert_allclose(one.contributions, two.contributions, atol=1e-6)
    assert np.abs(one.logits - two.logits).max() > 1e-6


@pytest.mark.skipif(CUDA_IS_HERE, reason="this machine has the provider that must be absent")
def test_a_provider_that_is_not_there_is_an_error_and_not_a_fall_back(shipped_bundle: Bundle) -> None:
    with pytest.raises(ProviderError, match="CUDAExecutionProvider"):
        OnnxClassifier("screen", "1", shipped_bundle.files[SCREEN], provider=Provider.CUDA, threads=1)


@pytest.mark.parametrize("model", [b"", b"garbage", bytes(1_000), b'{"not": "a model"}'])
def test_bytes_that_are_no_model_are_a_bundle_error(model: bytes) -> None:
    with pytest.raises(BundleError, match="screen"):
        OnnxClassifier("screen", "1", model, provider=Provider.CPU, threads=1)


def test_a_model_cut_short_is_a_bundle_error(shipped_bundle: Bundle) -> None:
    model = shipped_bundle.files[SCREEN]
    with pytest.raises(BundleError, match="screen"):
        OnnxClassifier("screen", "1", model[: len(model) // 2], provider=Provider.CPU, threads=1)
