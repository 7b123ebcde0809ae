"""Gradient descent on bags of windows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detectors.classifier import Batcher
from retrain.batches import Batch, batch_of, batched
from retrain.dataset import Unit
from retrain.losses import class_weights
from retrain.mining import hardest
from retrain.ranks import ALONE, Rank
from retrain.stopping import Stopping

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast. `batch_size` counts windows.

    `learning_rate` is for weights that start from a base network, `fresh_learning_rate` for those that start from
    nothing. Both rates warm up over `warmup` of the steps, then fall to zero linearly. `accumulate`: batches to a step.
    `balanced`: positives of rare labels count more. `hard_negatives`: the share of aligned conversations, those that
    the network then scores highest, that is shown once more in each epoch but the first. `patience`: epochs without a
    lower loss on what was held back that end the training; None: all epochs are run.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    fresh_learning_rate: float = 2e-3
    warmup: float = 0.06
    accumulate: int = 1
    balanced: bool = False
    hard_negatives: float = 0.0
    patience: int | None = None


def fit(
    network: nn.Module,
    units: Sequence[Unit],
    batcher: Batcher,
    schedule: Schedule,
    *,
    rng: np.random.Generator,
    report: Report,
    held_back: Sequence[Unit] = (),
    rank: Rank = ALONE,
) -> list[float]:
    """Trains `network` in place; gives the losses on `held_back`, one an epoch, where there are units in it.

    Multi-label: binary cross-entropy on bags, summed over the labels and weighted by bag, and for the two bags of a
    contrastive pair a loss on their order. All processes of a run come to the same weights.
    """
    batches = [batch_of(batch, batcher) for batch in batched(units, schedule.batch_size, rng)]
    watched = [batch_of(batch, batcher) for batch in batched(held_back, schedule.batch_size, np.random.default_rng(0))]
    weights = class_weights(units).to(rank.device) if schedule.balanced else None
    shared = rank.shared(network)
    progress = _Progress(_steps(units, batches, schedule, rank), report if rank.leads else lambda _: None)
    optimiser = torch.optim.AdamW(_with_rates(network, schedule), weight_decay=schedule.weight_decay)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, _warm_up_then_fall(progress.steps, schedule.warmup))
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    stopping, losses = Stopping(schedule.patience), []
    network.train()
    for epoch in range(schedule.epochs):
        shown = batches
        if epoch and schedule.hard_negatives:
            share, windows = schedule.hard_negatives, schedule.batch_size
            hard = hardest(network, units, batcher, share=share, windows=windows, rank=rank)
            shown = [*batches, *(batch_of(batch, batcher) for batch in batched(hard, windows, rng))]
        mine = rank.share([shown[index] for index in rng.permutation(len(shown)).tolist()])
        for group in _groups(mine, schedule.accumulate):
            optimiser.zero_grad(set_to_none=True)
            loss = _gradients(shared, group, weights, rank)
            nn.utils.clip_grad_norm_(trainable, 1.0)
            optimiser.step()
            rate.step()
            progress.step(loss, sum(len(batch.bags) for batch in group))
        if watched:
            losses.append(_loss_on(network, watched, weights, rank))
            progress.told(f"epoch {epoch + 1}/{schedule.epochs}: loss {losses[-1]:.4f} on what was held back")
            if not stopping.look(losses[-1], network):
                break
    stopping.restore(network)
    network.eval()
    return losses


def _gradients(shared: nn.Module, group: Sequence[Batch], weights: Tensor | None, rank: Rank) -> float:
    """Leaves the mean gradient over the batches of `group`; gives their mean loss."""
    total = 0.0
    for place, each in enumerate(group, start=1):
        batch = each.to(rank.device)
        with rank.gathering(shared, last=place == len(group)):
            with rank.autocast():
                logits, _ = shared(**batch.inputs)
            loss = batch.loss(logits.float(), weights) / len(group)
            loss.backward()
        total += float(loss.detach())
    return total


def _loss_on(network: nn.Module, batches: Sequence[Batch], weights: Tensor | None, rank: Rank) -> float:
    network.eval()
    found = []
    with torch.no_grad():
        for each in rank.share(batches):
            batch = each.to(rank.device)
            with rank.autocast():
                logits, _ = network(**batch.inputs)
            found.append(float(batch.loss(logits.float(), weights)))
    network.train()
    return rank.mean(found)


class _Progress:
    """Says how far the training is, every fifty steps."""

    def __init__(self, steps: int, report: Report) -> None:
        self.steps = steps
        self.told = report
        self._done, self._windows, self._recent = 0, 0, 0.0
        self._began = time.monotonic()

    def step(self, loss: float, windows: int) -> None:
        self._done += 1
        self._windows += windows
        self._recent = 0.98 * self._recent + 0.02 * loss if self._done > 1 else loss
        if self._done % 50 == 0 or self._done == self.steps:
            speed = self._windows / (time.monotonic() - self._began)
            self.told(f"step {self._done}/{self.steps}  loss {self._recent:.4f}  {speed:.1f} windows/s")


def _steps(units: Sequence[Unit], batches: Sequence[Batch], schedule: Schedule, rank: Rank) -> int:
    """How many steps all epochs take; about, where hard negatives come on top: their batches are not cut yet."""
    aligned = sum(any(not bag.labels.any() for bag in unit.bags) for unit in units)
    windows = sum(unit.windows for unit in units) / max(1, len(units))
    hard = math.ceil(schedule.hard_negatives * aligned * windows / schedule.batch_size)
    shown = [len(batches) + (hard if epoch else 0) for epoch in range(schedule.epochs)]
    return sum(math.ceil(math.ceil(count / rank.of) / schedule.accumulate) for count in shown)


def _groups(batches: Sequence[Batch], size: int) -> Iterator[Sequence[Batch]]:
    for first in range(0, len(batches), size):
        yield batches[first : first + size]


def _with_rates(network: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    trainable = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    based = [parameter for name, parameter in trainable if name.startswith("bert.")]
    fresh = [parameter for name, parameter in trainable if not name.startswith("bert.")]
    groups = [
        {"params": based, "lr": schedule.learning_rate},
        {"params": fresh, "lr": schedule.fresh_learning_rate},
    ]
    return [group for group in groups if group["params"]]


def _warm_up_then_fall(steps: int, warmup: float) -> Callable[[int], float]:
    rising = max(1, int(steps * warmup))

    def factor(step: int) -> float:
        return min((step + 1) / rising, max(0.0, (steps - step) / max(1, steps - rising)))

    return factor
