"""Training: it learns, repeats itself, and leaves alone what it is told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.classifier import Batcher
from detectors.features import FEATURE_NAMES, StructuralFeatures
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.dataset import TrainingWindows, cut, training_windows
from retrain.sources import LabelledConversation

if TYPE_CHECKING:
    from torch import nn
    from transformers import BertModel

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]

OVERALL = LABELS.index(MISALIGNMENT)


@pytest.fixture
def separable(make_labelled: Callable[..., LabelledConversation], windower: Windower) -> TrainingWindows:
    """Misaligned conversations say "steal", aligned ones "share"."""
    conversations = [
        make_labelled(f"c{n}", f"task {n}", f"I will {verb} item {n} now", misaligned=verb == "steal")
        for n in range(12)
        for verb in ("steal", "share")
    ]
    return training_windows(list(cut(conversations, windower)), per_conversation=1, rng=np.random.default_rng(1))


@pytest.fixture
def batcher(tokenizer: TextTokenizer) -> Batcher:
    return Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=8)


def trained_screen(data: TrainingWindows, batcher: Batcher, *, seed: int = 1) -> tuple[nn.Module, list[str]]:
    import torch

    from retrain.model import Screen
    from retrain.optimisation import Schedule, fit

    torch.manual_seed(seed)
    network = Screen(buckets=1024, features=len(FEATURE_NAMES), labels=len(LABELS))
    told: list[str] = []
    schedule = Schedule(epochs=8, batch_size=8, learning_rate=0.2, weight_decay=0.0)
    fit(network, data, batcher, schedule, rng=np.random.default_rng(seed), report=told.append)
    return network, told


def logits(network: nn.Module, data: TrainingWindows, batcher: Batcher) -> np.ndarray:
    import torch

    found = np.empty((len(data.windows), len(LABELS)))
    for rows, windows in batcher.batches(data.windows):
        with torch.no_grad():
            given = (windows.input_ids, windows.attention_mask, windows.features)
            found[rows] = network(*map(torch.from_numpy, given))[0].float().numpy()
    return found


def loss(overall: np.ndarray, truth: np.ndarray) -> float:
    return float(np.log1p(np.exp(np.where(truth, -overall, overall))).mean())


def test_a_separable_problem_is_learnt_and_the_loss_falls(separable: TrainingWindows, batcher: Batcher) -> None:
    network, told = trained_screen(separable, batcher)
    overall = logits(network, separable, batcher)[:, OVERALL]
    truth = separable.labels[:, OVERALL] > 0
    assert overall[truth].min() > 0 > overall[~truth].max()
    assert loss(overall, truth) < 0.5 * np.log(2)  # log(2) is what guessing costs
    assert told[-1].startswith("step 24/24 ")
    assert not network.training


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(
    separable: TrainingWindows, batcher: Batcher
) -> None:
    import torch

    one, same, other = (
        torch.cat([weights.flatten() for weights in trained_screen(separable, batcher, seed=seed)[0].parameters()])
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_window_without_weight_teaches_nothing(separable: TrainingWindows, batcher: Batcher) -> None:
    weights = separable.weights.copy()
    weights[::3] = 0
    labels = separable.labels.copy()
    labels[::3] = 1 - labels[::3]
    one = trained_screen(TrainingWindows(separable.windows, separable.labels, weights), batcher)[0]
    other = trained_screen(TrainingWindows(separable.windows, labels, weights), batcher)[0]
    np.testing.assert_allclose(logits(one, separable, batcher), logits(other, separable, batcher), atol=1e-5)


def test_frozen_layers_stay_and_the_others_learn(
    separable: TrainingWindows, batcher: Batcher, tiny_bert: BertModel
) -> None:
    import torch

    from retrain.model import Encoder, freeze
    from retrain.optimisation import Schedule, fit

    encoder = Encoder(tiny_bert, labels=len(LABELS))
    freeze(encoder, layers=1)
    before = {name: weights.detach().clone() for name, weights in encoder.named_parameters()}
    schedule = Schedule(epochs=1, batch_size=8, learning_rate=1e-3, weight_decay=0.01)
    fit(encoder, separable, batcher, schedule, rng=np.random.default_rng(1), report=lambda line: None)
    changed = {name for name, weights in encoder.named_parameters() if not torch.equal(weights, before[name])}
    assert not any(name.startswith(("bert.embeddings.", "bert.encoder.layer.0.")) for name in changed)
    assert {"attention.weight", "token_logits.weight", "bias"} <= changed
    assert any(name.startswith("bert.encoder.layer.1.") for name in changed)
