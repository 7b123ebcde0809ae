"""Where a network is trained: on a CPU or a CUDA card, alone or as one of several processes of `torchrun`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

Kind = Literal["cpu", "cuda"]
T = TypeVar("T")


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (2.6 times as fast as float32); elsewhere that is emulated."""
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


@dataclass(frozen=True, slots=True)
class Rank:
    """One of `of` processes that train the same network, each on its share of the batches."""

    device: str = "cpu"
    number: int = 0
    of: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.number == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """bfloat16 where the device is fast at it."""
        kind = self.device.split(":", maxsplit=1)[0]
        enabled = kind == "cuda" or bf16_is_fast()
        found: AbstractContextManager[Any] = torch.autocast(kind, dtype=torch.bfloat16, enabled=enabled)
        return found

    def shared(self, network: nn.Module) -> nn.Module:
        """`network` on the device; with several processes their gradients are averaged."""
        network.to(self.device)
        return network if self.of == 1 else DistributedDataParallel(network)

    def gathering(self, shared: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """For gradients of several batches that make one step: processes meet over the `last` one alone."""
        alone = isinstance(shared, DistributedDataParallel) and not last
        return shared.no_sync() if alone else nullcontext()

    def share(self, everything: Sequence[T]) -> list[T]:
        """This process's part of it. All have as many: some begin again where it does not go up evenly."""
        short = -len(everything) % self.of
        return [*everything, *everything[:short]][self.number :: self.of]

    def mean(self, values: Sequence[float]) -> float:
        """Over the values of all processes; 0 where there are none."""
        total = torch.tensor([sum(values), len(values)], dtype=torch.float64, device=self.device)
        if self.of > 1:
            distributed.all_reduce(total)
        summed, count = total.tolist()
        return float(summed / count) if count else 0.0

    def joined(self, mine: Sequence[T], length: int) -> list[T]:
        """What `share` parted, put together again: `length` of it, in its order."""
        if self.of == 1:
            return list(mine)
        parts: list[Sequence[T]] = [()] * self.of
        distributed.all_gather_object(parts, mine)
        return [parts[index % self.of][index // self.of] for index in range(length)]


ALONE: Final = Rank()
"""On the CPU, with nobody else."""


@contextmanager
def ranks(kind: Kind, environment: Mapping[str, str] = os.environ) -> Iterator[Rank]:
    """This process's rank, as `torchrun` says in the environment; alone where it says nothing.

    Processes on CPUs speak through gloo, on cards through NCCL. Raises `ValueError` without a card to train on.
    """
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA card here")
    of = int(environment.get("WORLD_SIZE", "1"))
    card = f"cuda:{environment.get('LOCAL_RANK', '0')}"
    device = card if kind == "cuda" else "cpu"
    if of == 1:
        yield Rank(device)
        return
    if kind == "cuda":
        torch.cuda.set_device(card)
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Rank(device, int(environment["RANK"]), of)
    finally:
        distributed.destroy_process_group()
