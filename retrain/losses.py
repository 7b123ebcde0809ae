"""What training makes small: losses of bags of windows, and of the order of contrastive pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from retrain.dataset import Unit

_MOST: Final = 10.0


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


def class_weights(units: Sequence[Unit]) -> Tensor:
    """[labels]: how much a positive counts, the square root of how many negatives there are to it, from 1 to `_MOST`.

    The root: a category with three positives is not worth a hundred times its noise.
    """
    labels = np.stack([bag.labels for unit in units for bag in unit.bags])
    positives = labels.sum(axis=0)
    ratio = np.sqrt((len(labels) - positives) / np.maximum(positives, 1))
    return torch.from_numpy(np.where(positives > 0, np.clip(ratio, 1, _MOST), 1.0).astype(np.float32))
