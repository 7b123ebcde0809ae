"""Hard negatives: what is aligned and looks misaligned to the network as it is now."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from detectors.classifier import Batcher
from detectors.taxonomy import LABELS, MISALIGNMENT
from retrain.batches import batch_of
from retrain.dataset import Bag, Unit
from retrain.ranks import Rank

_OVERALL = LABELS.index(MISALIGNMENT)


def hardest(
    network: nn.Module, units: Sequence[Unit], batcher: Batcher, *, share: float, windows: int, rank: Rank
) -> list[Unit]:
    """Of the units with an aligned bag the `share` whose aligned bags score highest, in the order of `units`.

    A bag scores its highest window's logit for overall misalignment. `windows`: how many to read at once.
    """
    pool = [index for index, unit in enumerate(units) if _aligned(unit)]
    count = math.ceil(share * len(pool))
    if not count:
        return []
    mine = rank.share(pool)
    scores = rank.joined(_scores(network, [units[index] for index in mine], batcher, windows, rank), len(pool))
    chosen = np.argsort([-score for score in scores], kind="stable")[:count]
    return [units[pool[place]] for place in sorted(chosen.tolist())]


def _aligned(unit: Unit) -> list[Bag]:
    return [bag for bag in unit.bags if not bag.labels[_OVERALL]]


def _scores(network: nn.Module, units: Sequence[Unit], batcher: Batcher, windows: int, rank: Rank) -> list[float]:
    bags = [(place, bag) for place, unit in enumerate(units) for bag in _aligned(unit)]
    bags.sort(key=lambda item: max(len(window) for window in item[1].windows))
    found = np.full(len(units), -np.inf)
    network.eval()
    with torch.no_grad(), rank.autocast():
        for first in range(0, len(bags), windows):
            some = bags[first : first + windows]
            batch = batch_of([Unit((bag,)) for _, bag in some], batcher).to(rank.device)
            logits = network(**batch.inputs)[0][:, _OVERALL].float().cpu().numpy()
            owners = np.asarray([place for place, _ in some])[batch.bags.cpu().numpy()]
            np.maximum.at(found, owners, logits)
    network.train()
    return [float(score) for score in found]
