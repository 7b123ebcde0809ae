"""What the children are called with."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from services.retraining.errors import StageFailed
from services.retraining.run import Mode


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


@dataclass(frozen=True, slots=True)
class Commands:
    """Programs of the stages, and of erasing. Each makes what it makes at the path that it is told, and says so by exit
    status 0.

    `salt` draws the parts of datasets: the same for all of them, and nobody else's.
    """

    assembling: tuple[str, ...] = _module("retrain.datasets.assemble")
    refreshing: tuple[str, ...] = _module("retrain.refresh")
    training: tuple[str, ...] = _module("retrain.train")
    gating: tuple[str, ...] = _module("retrain.gate")
    forgetting: tuple[str, ...] = _module("retrain.datasets.forget")
    threads: int = 2
    salt: str = ""

    def assemble(
        self, labels: Path, previous: Path | None, root: Path, policy: Mapping[str, JsonValue]
    ) -> tuple[str, ...]:
        before = ("--previous", str(previous)) if previous else ()
        told = ("--labels", str(labels), "--root", str(root), "--policy", json.dumps(dict(policy)))
        return (*self.assembling, *told, "--salt", self.salt, *before)

    def train(self, mode: Mode, champion: Path, dataset: Path, out: Path, cache: Path) -> tuple[str, ...]:
        told = ("--champion", str(champion), "--dataset", str(dataset), "--out", str(out))
        more = ("--threads", str(self.threads), "--cache", str(cache))
        return (*(self.refreshing if mode == "refresh" else self.training), *told, *more)

    def gate(self, champion: Path, candidate: Path, dataset: Path, canaries: Path, out: Path) -> tuple[str, ...]:
        told = ("--champion", str(champion), "--candidate", str(candidate), "--dataset", str(dataset))
        return (*self.gating, *told, "--canaries", str(canaries), "--out", str(out), "--threads", str(self.threads))

    def forget(self, dataset: Path, labels: Path, root: Path) -> tuple[str, ...]:
        return (*self.forgetting, "--dataset", str(dataset), "--labels", str(labels), "--root", str(root))


def plain_name(name: str) -> str:
    """The name of a dataset version, as a child says it. Raises `StageFailed` where it is none."""
    if not name.startswith("ds-") or Path(name).name != name:
        raise StageFailed("a dataset is called ds-…")
    return name
