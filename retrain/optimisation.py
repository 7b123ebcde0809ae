"""Gradient descent on bags of windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detectors.classifier import Batcher
from retrain.dataset import Unit

Report = Callable[[str], None]

PAIR_WEIGHT = 1.0
"""Of the loss on the order of a pair, against the cross-entropy of its bags."""

_SORTED_TOGETHER = 512


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast. `batch_size` counts windows.

    `learning_rate` is for weights that start from a base network, `fresh_learning_rate` for those that start from
    nothing. Both rates warm up over `warmup` of the steps, then fall to zero linearly.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    fresh_learning_rate: float = 2e-3
    warmup: float = 0.06


def fit(
    network: nn.Module,
    units: Sequence[Unit],
    batcher: Batcher,
    schedule: Schedule,
    *,
    rng: np.random.Generator,
    report: Report,
) -> None:
    """Trains `network` in place.

    Multi-label: binary cross-entropy on bags, summed over the labels and weighted by bag, and for the two bags of a
    contrastive pair a loss on their order.
    """
    batches = [_tensors(batch, batcher) for batch in _batches(units, schedule.batch_size, rng)]
    steps = schedule.epochs * len(batches)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(_with_rates(network, schedule), weight_decay=schedule.weight_decay)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, _warm_up_then_fall(steps, schedule.warmup))
    network.train()
    began, recent, seen = time.monotonic(), 0.0, 0
    for step, index in enumerate(_order(len(batches), schedule.epochs, rng), start=1):
        batch = batches[index]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16_is_fast()):
            logits, _ = network(**batch.inputs)
        loss = batch.loss(logits.float())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trainable, 1.0)
        optimiser.step()
        rate.step()
        seen += len(logits)
        recent = 0.98 * recent + 0.02 * float(loss.detach()) if step > 1 else float(loss.detach())
        if step % 50 == 0 or step == steps:
            report(f"step {step}/{steps}  loss {recent:.4f}  {seen / (time.monotonic() - began):.1f} windows/s")
    network.eval()


def _with_rates(network: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    trainable = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    based = [parameter for name, parameter in trainable if name.startswith("bert.")]
    fresh = [parameter for name, parameter in trainable if not name.startswith("bert.")]
    groups = [
        {"params": based, "lr": schedule.learning_rate},
        {"params": fresh, "lr": schedule.fresh_learning_rate},
    ]
    return [group for group in groups if group["params"]]


def noisy_or_loss(logits: Tensor, bags: Tensor, labels: Tensor) -> Tensor:
    """[bags, labels]: cross-entropy of bags of windows, of which at least one shows the label or none does.

    P(bag) = 1 - product over its windows of (1 - sigmoid(logit)), so that -ln(1 - P) is the sum of their softplus.
    `logits` [windows, labels]; `bags` [windows] says which bag each is in; `labels` [bags, labels].
    """
    none_shows = torch.zeros_like(labels).index_add(0, bags, nn.functional.softplus(logits))
    one_shows = -torch.log(-torch.expm1(-none_shows.clamp(min=1e-6)))
    return labels * one_shows + (1 - labels) * none_shows


def order_loss(logits: Tensor, bags: Tensor, pairs: Tensor, labels: Tensor) -> Tensor:
    """[pairs]: softplus of how far a pair's misaligned bag lies below its aligned one, on the labels that part them.

    `pairs` [pairs, 2]: bags, the misaligned one first. A bag's logit is the log of its windows' summed odds.
    """
    top = torch.full_like(labels, -torch.inf).scatter_reduce(
        0, bags[:, None].expand_as(logits), logits.detach(), "amax", include_self=True
    )
    summed = torch.zeros_like(labels).index_add(0, bags, torch.exp(logits - top[bags]))
    bag_logits = top + torch.log(summed)
    apart = labels[pairs[:, 0]] - labels[pairs[:, 1]]
    below = bag_logits[pairs[:, 1]] - bag_logits[pairs[:, 0]]
    return (nn.functional.softplus(below) * apart).sum(dim=1)


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (2.6 times as fast as float32); elsewhere that is emulated."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


@dataclass(frozen=True, slots=True)
class _Batch:
    inputs: dict[str, Tensor]
    bags: Tensor
    labels: Tensor
    weights: Tensor
    pairs: Tensor

    def loss(self, logits: Tensor) -> Tensor:
        """A mean over the bags."""
        loss = (noisy_or_loss(logits, self.bags, self.labels).sum(dim=1) * self.weights).sum()
        if len(self.pairs):
            loss = loss + PAIR_WEIGHT * order_loss(logits, self.bags, self.pairs, self.labels).sum()
        return loss / len(self.weights)


def _tensors(units: Sequence[Unit], batcher: Batcher) -> _Batch:
    bags = [bag for unit in units for bag in unit.bags]
    windows = [window for bag in bags for window in bag.windows]
    batch = batcher.pad(windows)
    firsts = np.cumsum([0, *(len(unit.bags) for unit in units)])[:-1]
    pairs = [(first, first + 1) for first, unit in zip(firsts.tolist(), units, strict=True) if unit.contrasted]
    arrays = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return _Batch(
        inputs={name: torch.from_numpy(array) for name, array in arrays.items()},
        bags=torch.from_numpy(np.repeat(np.arange(len(bags)), [len(bag.windows) for bag in bags])),
        labels=torch.from_numpy(np.stack([bag.labels for bag in bags])),
        weights=torch.tensor([bag.weight for bag in bags], dtype=torch.float32),
        pairs=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
    )


def _batches(units: Sequence[Unit], windows: int, rng: np.random.Generator) -> Iterator[list[Unit]]:
    """Units of similar length in batches of about so many windows: padding costs as much as text."""
    shuffled = [units[index] for index in rng.permutation(len(units)).tolist()]
    for first in range(0, len(shuffled), _SORTED_TOGETHER):
        batch: list[Unit] = []
        for unit in sorted(shuffled[first : first + _SORTED_TOGETHER], key=_longest):
            batch.append(unit)
            if sum(each.windows for each in batch) >= windows:
                yield batch
                batch = []
        if batch:
            yield batch


def _longest(unit: Unit) -> int:
    return max(len(window) for bag in unit.bags for window in bag.windows)


def _order(batches: int, epochs: int, rng: np.random.Generator) -> Iterator[int]:
    for _ in range(epochs):
        yield from rng.permutation(batches).tolist()


def _warm_up_then_fall(steps: int, warmup: float) -> Callable[[int], float]:
    rising = max(1, int(steps * warmup))

    def factor(step: int) -> float:
        return min((step + 1) / rising, max(0.0, (steps - step) / max(1, steps - rising)))

    return factor
