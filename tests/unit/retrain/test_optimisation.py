"""Training: it learns, repeats itself, and leaves alone what it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.classifier import Batcher
from detectors.features import FEATURE_NAMES, StructuralFeatures
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.dataset import Dropout, Unit, training_units
from retrain.sources import LabelledConversation

if TYPE_CHECKING:
    from torch import nn
    from transformers import BertModel

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]

OVERALL = LABELS.index(MISALIGNMENT)


@pytest.fixture
def separable(make_labelled: Callable[..., LabelledConversation], windower: Windower) -> list[Unit]:
    """Misaligned conversations say "steal", aligned ones "share"."""
    conversations = [
        make_labelled(f"c{n}", f"task {n}", f"I will {verb} item {n} now", misaligned=verb == "steal")
        for n in range(12)
        for verb in ("steal", "share")
    ]
    rng = np.random.default_rng(1)
    return training_units(conversations, windower, per_bag=1, dropout=Dropout(context=0, reasoning=0), rng=rng)


def truth(units: list[Unit]) -> np.ndarray:
    return np.asarray([unit.bags[0].labels[OVERALL] > 0 for unit in units])


@pytest.fixture
def batcher(tokenizer: TextTokenizer) -> Batcher:
    return Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=8)


def trained_screen(units: list[Unit], batcher: Batcher, *, seed: int = 1) -> tuple[nn.Module, list[str]]:
    import torch

    from retrain.model import Screen
    from retrain.optimisation import Schedule, fit

    torch.manual_seed(seed)
    network = Screen(buckets=1024, features=len(FEATURE_NAMES), labels=len(LABELS))
    told: list[str] = []
    schedule = Schedule(epochs=8, batch_size=8, learning_rate=0.0, fresh_learning_rate=0.2, weight_decay=0.0)
    fit(network, units, batcher, schedule, rng=np.random.default_rng(seed), report=told.append)
    return network, told


def logits(network: nn.Module, units: list[Unit], batcher: Batcher) -> np.ndarray:
    import torch

    windows = batcher.pad([window for unit in units for bag in unit.bags for window in bag.windows])
    with torch.no_grad():
        given = (windows.input_ids, windows.attention_mask, windows.agent_mask, windows.features)
        found: np.ndarray = network(*map(torch.from_numpy, given))[0].float().numpy()
    return found


def loss(overall: np.ndarray, truth: np.ndarray) -> float:
    return float(np.log1p(np.exp(np.where(truth, -overall, overall))).mean())


def test_a_separable_problem_is_learnt_and_the_loss_falls(separable: list[Unit], batcher: Batcher) -> None:
    network, told = trained_screen(separable, batcher)
    overall = logits(network, separable, batcher)[:, OVERALL]
    positive = truth(separable)
    assert overall[positive].min() > 0 > overall[~positive].max()
    assert loss(overall, positive) < 0.5 * np.log(2)  # log(2) is what guessing costs
    assert told[-1].startswith("step 24/24 ")
    assert not network.training


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(separable: list[Unit], batcher: Batcher) -> None:
    import torch

    one, same, other = (
        torch.cat([weights.flatten() for weights in trained_screen(separable, batcher, seed=seed)[0].parameters()])
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_bag_without_weight_teaches_nothing(separable: list[Unit], batcher: Batcher) -> None:
    def weightless(*, turned: bool) -> list[Unit]:
        units = list(separable)
        for n in range(0, len(units), 3):
            (bag,) = units[n].bags
            units[n] = Unit((replace(bag, weight=0.0, labels=1 - bag.labels if turned else bag.labels),))
        return units

    one, other = (trained_screen(weightless(turned=turned), batcher)[0] for turned in (False, True))
    np.testing.assert_allclose(logits(one, separable, batcher), logits(other, separable, batcher), atol=1e-5)


def test_what_a_source_tells_by_itself_teaches_little(
    make_labelled: Callable[..., LabelledConversation], windower: Windower, batcher: Batcher
) -> None:
    import torch

    from retrain.batches import batch_of

    def pulls(*sources: str) -> list[float]:
        """By how much each of four bags pulls on its window, of sources of one label each or of both."""
        conversations = [
            make_labelled(f"{n}", f"task {n}", "I will do it", source=source, misaligned=n % 2 == 0)
            for n, source in enumerate(sources * 12)
        ]
        rng = np.random.default_rng(1)
        no_dropout = Dropout(context=0, reasoning=0)
        units = training_units(conversations, windower, per_bag=1, dropout=no_dropout, rng=rng, sources_known=True)
        values = torch.zeros(len(units), len(LABELS), requires_grad=True)
        batch_of(units, batcher).loss(values).backward()
        assert values.grad is not None
        return [abs(each) for each in values.grad[:4, OVERALL].tolist()]

    *of_one_label, of_both, _ = pulls("dark", "bright", "both", "both")
    assert of_both == pytest.approx(pulls("one", "one", "one", "one")[0])
    assert all(0 < each < of_both / 10 for each in of_one_label)


def test_a_bag_is_positive_when_one_of_its_windows_is(retrain_extra: None) -> None:
    import torch

    from retrain.losses import noisy_or_loss

    values = torch.tensor([[2.0], [-1.0], [-3.0], [0.5]], dtype=torch.float64)
    bags = torch.tensor([0, 0, 1, 1])
    shown = 1 - np.prod(1 - 1 / (1 + np.exp(-np.asarray([[2.0, -1.0], [-3.0, 0.5]]))), axis=1)
    positive = noisy_or_loss(values, bags, torch.ones(2, 1, dtype=torch.float64))
    negative = noisy_or_loss(values, bags, torch.zeros(2, 1, dtype=torch.float64))
    np.testing.assert_allclose(positive[:, 0], -np.log(shown), rtol=1e-6)
    np.testing.assert_allclose(negative[:, 0], -np.log(1 - shown), rtol=1e-6)


@pytest.mark.parametrize("extreme", [-80.0, 80.0, 0.0])
def test_losses_have_finite_gradients_at_extreme_logits(retrain_extra: None, extreme: float) -> None:
    import torch

    from retrain.losses import noisy_or_loss, order_loss

    values = torch.full((4, 2), extreme, requires_grad=True)
    bags, labels = torch.tensor([0, 0, 1, 1]), torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    both = noisy_or_loss(values, bags, labels).sum() + order_loss(values, bags, torch.tensor([[0, 1]]), labels).sum()
    both.backward()
    assert torch.isfinite(both)
    assert torch.isfinite(values.grad).all()


def test_the_order_loss_falls_with_the_distance_and_minds_only_what_parts_the_twins(retrain_extra: None) -> None:
    import torch

    from retrain.losses import order_loss

    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    pairs, bags = torch.tensor([[0, 1]]), torch.tensor([0, 1])

    def loss_of(misaligned: float, aligned: float, other: float = 0.0) -> float:
        return float(order_loss(torch.tensor([[misaligned, other], [aligned, -other]]), bags, pairs, labels))

    assert loss_of(1.0, 3.0) == pytest.approx(np.log1p(np.exp(2.0)), rel=1e-5)
    assert loss_of(3.0, 1.0) < loss_of(2.0, 1.0) < loss_of(1.0, 2.0)
    assert loss_of(1.0, 2.0, other=50.0) == pytest.approx(loss_of(1.0, 2.0))


def test_frozen_layers_stay_and_the_others_learn(separable: list[Unit], batcher: Batcher, tiny_bert: BertModel) -> None:
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


def test_two_batches_to_a_step_are_half_as_many_steps_and_teach_the_same(
    separable: list[Unit], batcher: Batcher
) -> None:
    import torch

    from retrain.model import Screen
    from retrain.optimisation import Schedule, fit

    torch.manual_seed(1)
    network = Screen(buckets=1024, features=len(FEATURE_NAMES), labels=len(LABELS))
    told: list[str] = []
    schedule = Schedule(
        epochs=16, batch_size=4, learning_rate=0.0, fresh_learning_rate=0.2, weight_decay=0.0, accumulate=2
    )
    fit(network, separable, batcher, schedule, rng=np.random.default_rng(1), report=told.append)
    assert told[-1].startswith("step 48/48 ")
    overall = logits(network, separable, batcher)[:, OVERALL]
    assert overall[truth(separable)].min() > 0 > overall[~truth(separable)].max()


def test_training_ends_when_what_was_held_back_gets_worse_and_goes_back_to_the_best(
    separable: list[Unit], batcher: Batcher
) -> None:
    import torch

    from retrain.batches import batch_of
    from retrain.model import Screen
    from retrain.optimisation import Schedule, fit

    turned = [Unit((replace(unit.bags[0], labels=1 - unit.bags[0].labels),)) for unit in separable[:8]]
    schedule = Schedule(
        epochs=30, batch_size=8, learning_rate=0.0, fresh_learning_rate=0.2, weight_decay=0.0, patience=2
    )
    torch.manual_seed(1)
    network = Screen(buckets=1024, features=len(FEATURE_NAMES), labels=len(LABELS))
    losses = fit(
        network,
        separable,
        batcher,
        schedule,
        rng=np.random.default_rng(1),
        report=lambda line: None,
        held_back=turned,
    )
    assert len(losses) < 30
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 2
    batch = batch_of(turned, batcher)
    with torch.no_grad():
        assert float(batch.loss(network(**batch.inputs)[0])) == pytest.approx(losses[best], rel=1e-3)


def test_rare_labels_count_more_and_never_beyond_reason(separable: list[Unit]) -> None:
    from retrain.losses import class_weights

    rare, absent = LABELS.index("sabotage"), LABELS.index("coercion")
    units = [
        replace(unit, bags=tuple(replace(bag, labels=bag.labels.copy()) for bag in unit.bags)) for unit in separable
    ]
    units[0].bags[0].labels[rare] = 1
    weights = class_weights(units * 9).tolist()
    assert weights[rare] == pytest.approx(np.sqrt(23))
    assert weights[OVERALL] == weights[absent] == 1
    units = [
        *units,
        *[replace(unit, bags=tuple(replace(b, labels=b.labels * 0) for b in unit.bags)) for unit in units * 40],
    ]
    assert class_weights(units).tolist()[rare] == 10


def test_what_is_aligned_and_looks_misaligned_is_shown_again(separable: list[Unit], batcher: Batcher) -> None:
    from retrain.mining import hardest
    from retrain.ranks import ALONE

    network, _ = trained_screen(separable, batcher)
    flipped = [replace(unit, bags=(replace(unit.bags[0], labels=unit.bags[0].labels * 0),)) for unit in separable[:2]]
    pool = [*separable, *flipped]  # one of the two says "steal", and is labelled aligned
    (found,) = hardest(network, pool, batcher, share=0.05, windows=8, rank=ALONE)
    assert found is flipped[0]
    assert len(hardest(network, pool, batcher, share=1.0, windows=8, rank=ALONE)) == len(separable) // 2 + 2
    assert hardest(network, pool, batcher, share=0.0, windows=8, rank=ALONE) == []


def test_hard_negatives_make_later_epochs_longer_and_the_rate_still_falls_to_nothing(
    separable: list[Unit], batcher: Batcher
) -> None:
    import torch

    from retrain.model import Screen
    from retrain.optimisation import Schedule, fit

    told: list[str] = []
    schedule = Schedule(
        epochs=8, batch_size=8, learning_rate=0.0, fresh_learning_rate=0.2, weight_decay=0.0, hard_negatives=0.5
    )
    network = Screen(buckets=1024, features=len(FEATURE_NAMES), labels=len(LABELS))
    fit(network, separable, batcher, schedule, rng=np.random.default_rng(1), report=told.append)
    assert told[-1].startswith("step 31/31 ")  # 3 batches, and one of hard ones in all epochs but the first
    assert not any(torch.isnan(parameter).any() for parameter in network.parameters())


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_processes_of_torchrun_learn_what_one_learns_from_two_batches_a_step(tmp_path: Path) -> None:
    import torch

    program = Path(__file__).with_name("two_processes.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(program.parents[3])}
    launched = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    for command in ([*launched, str(program), "1"], [sys.executable, str(program), "2"]):
        subprocess.run([*command, str(tmp_path)], env=environment, check=True, timeout=240)
    first, second, alone = (torch.load(tmp_path / f"{name}.pt") for name in ("0-of-2", "1-of-2", "0-of-1"))
    for name, weights in first["weights"].items():
        assert torch.equal(weights, second["weights"][name])
        torch.testing.assert_close(weights, alone["weights"][name], atol=2e-3, rtol=1e-2)
    assert first["losses"] == second["losses"] == pytest.approx(alone["losses"], rel=1e-2)
    assert first["losses"][-1] < first["losses"][0]
    assert first["hard"] == second["hard"] == alone["hard"]
