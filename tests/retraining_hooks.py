"""A retrainer that can be stopped at every step: of the database, of the registry, and inside of each stage."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from deploy.registry import Registry
from deploy.rollout.state import Rollout
from services.retrain import QueuedBatch, QueueKeeper
from services.retraining import stages
from services.retraining.child import Watch
from services.retraining.ledger import Ledger
from services.retraining.run import Run, Stage
from services.stream import Handled

Hook = Callable[[str], None]
CHILDREN = {Stage.ASSEMBLING: "assemble", Stage.TRAINING: "train", Stage.GATING: "gate"}
STAGES = (*CHILDREN, Stage.PUBLISHING)
STEPS = (
    *("labels not written", "labels written"),
    *("opening", "opened"),
    *(f"{stage.value}: {step}" for stage in STAGES for step in ("beginning", "begun", "ending", "ended")),
    *(f"{stage.value}: inside" for stage in CHILDREN),
    *(f"{stage.value}: made" for stage in CHILDREN),
    *("publishing: uploading", "publishing: uploaded", "publishing: moving", "publishing: moved"),
)


class HookedLedger(Ledger):
    def __init__(self, *details: Any, at: Hook, **more: Any) -> None:
        super().__init__(*details, **more)
        self._at = at
        self._stage = Stage.ASSEMBLING

    def open(self, run: Run, now: datetime) -> Run | None:
        self._at("opening")
        opened = super().open(run, now)
        self._at("opened")
        return opened

    def begin(self, run: Run, now: datetime) -> Run:
        self._stage = run.stage
        self._at(f"{run.stage.value}: beginning")
        begun = super().begin(run, now)
        self._at(f"{run.stage.value}: begun")
        return begun

    def keep(self, after: Run, now: datetime, *, made_of: Collection[UUID] = ()) -> bool:
        self._at(f"{self._stage.value}: ending")
        kept = super().keep(after, now, made_of=made_of)
        self._at(f"{self._stage.value}: ended")
        return kept


class HookedStages(stages.Stages):
    """`at` is told while a child is in the middle of its work, and when what it made stands in its place."""

    at: Hook
    steering: Path

    def work(self, run: Run, watch: Watch) -> Run:
        child = CHILDREN.get(run.stage)

        def beat() -> bool:
            if child and (self.steering / f"half {child}").exists():
                self.at(f"{run.stage.value}: inside")
            return watch.beat()

        after = super().work(run, replace(watch, beat=beat))
        self.at(f"{run.stage.value}: made")
        return after


class HookedKeeper(QueueKeeper):
    at: Hook

    def complete(self, prepared: QueuedBatch) -> Handled:
        self.at("labels not written")
        handled = super().complete(prepared)
        self.at("labels written")
        return handled


class HookedRegistry:
    """Told of what is published after the first version."""

    def __init__(self, registry: Registry, at: Hook) -> None:
        self._registry = registry
        self._at = at

    def publish(self, folder: Path, facts: Mapping[str, Any]) -> str:
        at = self._at if "run" in facts else lambda _: None
        at("publishing: uploading")
        version = self._registry.publish(folder, facts)
        at("publishing: uploaded")
        return version

    def fetch(self, version: str, into: Path) -> Path:
        return self._registry.fetch(version, into)

    def rollout(self) -> Rollout | None:
        return self._registry.rollout()

    def rollout_history(self, limit: int) -> Sequence[Rollout]:
        return self._registry.rollout_history(limit)

    def move(self, rollout: Rollout) -> None:
        at = self._at if rollout.candidate else lambda _: None
        at("publishing: moving")
        self._registry.move(rollout)
        at("publishing: moved")
