"""Gradient descent on windows, the same way for both networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detectors.classifier import Batcher, WindowBatch
from retrain.dataset import TrainingWindows

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """One network's training: learning rate warms up over `warmup` of the steps, then falls to zero linearly."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float = 0.06


def fit(
    network: nn.Module,
    data: TrainingWindows,
    batcher: Batcher,
    schedule: Schedule,
    *,
    rng: np.random.Generator,
    report: Report,
) -> None:
    """Trains `network` in place. Multi-label: binary cross-entropy summed over the labels, weighted by window."""
    batches = [_tensors(rows, batch, data) for rows, batch in batcher.batches(data.windows)]
    steps = schedule.epochs * len(batches)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, _warm_up_then_fall(steps, schedule.warmup))
    network.train()
    began, recent = time.monotonic(), 0.0
    for step, index in enumerate(_order(len(batches), schedule.epochs, rng), start=1):
        inputs, labels, weights = batches[index]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16_is_fast()):
            logits, _ = network(**inputs)
        losses = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none")
        loss = (losses.sum(dim=1) * weights).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trainable, 1.0)
        optimiser.step()
        rate.step()
        recent = 0.98 * recent + 0.02 * float(loss.detach()) if step > 1 else float(loss.detach())
        if step % 50 == 0 or step == steps:
            speed = step * schedule.batch_size / (time.monotonic() - began)
            report(f"step {step}/{steps}  loss {recent:.4f}  {speed:.1f} windows/s")
    network.eval()


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (2.6 times as fast as float32); elsewhere that is emulated."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _tensors(
    rows: NDArray[np.intp], batch: WindowBatch, data: TrainingWindows
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    arrays = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "features": batch.features}
    inputs = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return inputs, torch.from_numpy(data.labels[rows]), torch.from_numpy(data.weights[rows])


def _order(batches: int, epochs: int, rng: np.random.Generator) -> Iterator[int]:
    for _ in range(epochs):
        yield from rng.permutation(batches).tolist()


def _warm_up_then_fall(steps: int, warmup: float) -> Callable[[int], float]:
    rising = max(1, int(steps * warmup))

    def factor(step: int) -> float:
        return min((step + 1) / rising, max(0.0, (steps - step) / max(1, steps - rising)))

    return factor
