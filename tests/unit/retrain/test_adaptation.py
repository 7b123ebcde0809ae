"""Adaptation learns a deployment's own words, and leaves well alone where there are none to learn."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.bundle import SCREEN, load_bundle
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import LABELS
from retrain.evaluation import auroc

if TYPE_CHECKING:
    from retrain.observed import Observed

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]

BUCKETS = 50
sparse = pytest.importorskip("scipy.sparse", reason="scipy is missing: install the extra 'retrain'")


@pytest.fixture(scope="module")
def adaptation(retrain_extra: None) -> ModuleType:
    from retrain import adaptation

    return adaptation


def observed(count: int, *, telling: bool, seed: int = 1) -> Observed:
    """Two windows a conversation; bucket 3 is in most misaligned ones, if that is `telling`. Old scores are noise."""
    from retrain.observed import Observed

    rng = np.random.default_rng(seed)
    positive = np.arange(count) % 3 == 0
    owner = np.repeat(np.arange(count), 2)
    counts = (rng.random((2 * count, BUCKETS)) < 0.2).astype(float)
    if telling:
        counts[:, 3] = positive[owner] & (rng.random(2 * count) < 0.8)
    groups = tuple(f"g{number}" for number in range(count))
    screen, encoder = (np.repeat(rng.normal(size=2 * count)[:, None], len(LABELS), axis=1) for _ in range(2))
    truth = np.repeat(positive[:, None], len(LABELS), axis=1)
    told = np.ones(2 * count, dtype=bool)
    return Observed(sparse.csr_matrix(counts), screen, encoder, told, owner, truth, groups)


def test_words_of_the_deployment_are_learnt(adaptation: ModuleType) -> None:
    adapted = adaptation.adapt(observed(90, telling=True))
    fresh = observed(90, telling=True, seed=2)
    assert auroc(adapted.probabilities(fresh), fresh.positive) > 0.85


def test_noise_is_not_taken_for_knowledge(adaptation: ModuleType) -> None:
    adapted = adaptation.adapt(observed(90, telling=False))
    fresh = observed(90, telling=False, seed=2)
    scores = adapted.probabilities(fresh)
    assert np.ptp(scores) < 0.5
    assert 0.25 < auroc(scores, fresh.positive) < 0.75


def test_too_few_labels_are_refused(adaptation: ModuleType) -> None:
    seen = observed(12, telling=True)
    with pytest.raises(ValueError, match="at least 5"):
        adaptation.adapt(seen)


def test_some_conversations_keep_their_own_windows(retrain_extra: None) -> None:
    seen = observed(9, telling=True)
    rows = np.asarray([7, 2])
    part = seen.only(rows)
    assert part.positive.tolist() == seen.positive[rows].tolist()
    assert part.groups == ("g7", "g2")
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(part.screen[part.owner == place], seen.screen[seen.owner == row])


def test_the_screen_file_computes_what_was_fitted(retrain_extra: None) -> None:
    import onnx
    import onnxruntime

    from retrain.observed import arrays
    from retrain.words import LocalScreen, screen_model

    model = load_bundle(DEFAULT_BUNDLE).files[SCREEN]
    rng = np.random.default_rng(3)
    ids = rng.integers(5, 900, (2, 20))
    mask = np.ones_like(ids)

    def logits(data: bytes) -> np.ndarray:
        session = onnxruntime.InferenceSession(data)
        features = {node.name: node.shape[1] for node in session.get_inputs() if node.name == "features"}
        fed = {"input_ids": ids, "agent_mask": mask, "features": np.zeros((2, features["features"]), np.float32)}
        return session.run(["logits"], fed)[0]

    buckets = len(arrays(onnx.load_from_string(model))["table"])
    local = LocalScreen(0.5, np.zeros(buckets), 0.25)
    before, after = logits(model), logits(screen_model(model, {LABELS[4]: local}))
    np.testing.assert_allclose(after[:, 4], 0.5 * before[:, 4] + 0.25, atol=2e-2)
    np.testing.assert_array_equal(np.delete(after, 4, axis=1), np.delete(before, 4, axis=1))


def test_hashing_is_what_the_network_does(retrain_extra: None) -> None:
    import torch

    from detectors.windows import Piece, Speaker, Window
    from retrain.hashing import hashed_counts
    from retrain.model import Screen

    screen = Screen(buckets=64, features=1, labels=1)
    torch.nn.init.normal_(screen.table.weight)
    ids = np.asarray([1, 9, 300, 9, 2], dtype=np.int32)
    piece = np.asarray([-1, 0, 0, 1, -1], dtype=np.int16)
    pieces = (Piece("a", 0, 0, Speaker.ASSISTANT), Piece("b", 1, 0, Speaker.USER))
    window = Window(ids, piece, np.zeros(5, np.int32), np.ones(5, np.int32), pieces)
    arrays = [ids[None].astype(np.int64), np.ones((1, 5), np.int64), window.of_agent[None].astype(np.int64)]
    with torch.no_grad():
        _, contributions = screen(*map(torch.from_numpy, arrays), torch.zeros(1, 1))
        expected = float(contributions.sum())
    found = (hashed_counts([window], 64) @ screen.table.weight.detach().numpy()).item()
    assert found == pytest.approx(expected, abs=1e-5)
