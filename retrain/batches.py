"""Units of training as tensors, several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from detectors.classifier import Batcher
from retrain.dataset import Unit
from retrain.losses import noisy_or_loss, order_loss

PAIR_WEIGHT = 1.0
"""Of the loss on the order of a pair, against the cross-entropy of its bags."""

_SORTED_TOGETHER = 512


@dataclass(frozen=True, slots=True)
class Batch:
    """`inputs` of the network [windows, ...]; `bags` [windows]; `labels` and `expected` [bags, labels]; `weights`
    [bags]."""

    inputs: dict[str, Tensor]
    bags: Tensor
    labels: Tensor
    expected: Tensor
    weights: Tensor
    pairs: Tensor

    def loss(self, logits: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """A mean over the bags. `class_weights` [labels]: how much a positive counts; 1 where they are not given."""
        each = noisy_or_loss(logits + self.expected[self.bags], self.bags, self.labels)
        if class_weights is not None:
            each = each * (1 + self.labels * (class_weights - 1))
        loss = (each.sum(dim=1) * self.weights).sum()
        if len(self.pairs):
            loss = loss + PAIR_WEIGHT * order_loss(logits, self.bags, self.pairs, self.labels).sum()
        return loss / len(self.weights)

    def to(self, device: str) -> Batch:
        """The same there."""
        moved = {name: tensor.to(device) for name, tensor in self.inputs.items()}
        rest = (tensor.to(device) for tensor in (self.bags, self.labels, self.expected, self.weights, self.pairs))
        return Batch(moved, *rest)


def batch_of(units: Sequence[Unit], batcher: Batcher) -> Batch:
    """All of `units` at once."""
    bags = [bag for unit in units for bag in unit.bags]
    windows = [window for bag in bags for window in bag.windows]
    batch = batcher.pad(windows)
    firsts = np.cumsum([0, *(len(unit.bags) for unit in units)])[:-1]
    pairs = [(first, first + 1) for first, unit in zip(firsts.tolist(), units, strict=True) if unit.contrasted]
    arrays = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return Batch(
        inputs={name: torch.from_numpy(array) for name, array in arrays.items()},
        bags=torch.from_numpy(np.repeat(np.arange(len(bags)), [len(bag.windows) for bag in bags])),
        labels=torch.from_numpy(np.stack([bag.labels for bag in bags])),
        expected=torch.from_numpy(np.stack([bag.expected for bag in bags])),
        weights=torch.tensor([bag.weight for bag in bags], dtype=torch.float32),
        pairs=torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
    )


def batched(units: Sequence[Unit], windows: int, rng: np.random.Generator) -> Iterator[list[Unit]]:
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
