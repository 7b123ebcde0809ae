"""The retrainer's process: the queue in the main thread, runs and rollouts in threads of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Final
from uuid import uuid4

from prometheus_client import CollectorRegistry

from services.loop_metrics import RetrainerMetrics
from services.retrain import QueueKeeper
from services.retraining.commands import Commands
from services.retraining.conductor import Conductor, Patience
from services.retraining.datasets import labels_in
from services.retraining.erasing import Erasing
from services.retraining.ledger import Ledger
from services.retraining.reporting import Reporting
from services.retraining.rollout import Registry, Rollouts
from services.retraining.shelf import LabelsIn
from services.retraining.situation import limits_of
from services.retraining.stages import Stages
from services.retraining.successors import LONGEST, Successors
from services.retraining.workshop import Workshop
from services.rollout.configured import registry_of
from services.settings import Settings
from services.store import Database
from services.triage.configured import salt_of

LEASE_FOR: Final = timedelta(seconds=30)
Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Retrainer:
    """What the process runs: the handler of the queue, and who drives runs."""

    keeper: QueueKeeper
    conductor: Conductor

    def start(self, stop: Event) -> Thread:
        """Drives runs until `stop`."""
        thread = Thread(target=self.conductor.run, args=(stop,), name="conductor", daemon=True)
        thread.start()
        return thread


def retrainer_of(
    settings: Settings,
    database: Database,
    prometheus: CollectorRegistry,
    *,
    registry: Registry | None = None,
    ledger: Ledger | None = None,
    commands: Commands | None = None,
    labels: LabelsIn = labels_in,
    clock: Clock = now,
) -> Retrainer:
    """As configured; what is given is taken instead. Raises `SettingsError` without a registry."""
    metrics, salt = RetrainerMetrics(prometheus), salt_of(database)
    workshop = Workshop(settings.retraining_folder)
    ledger = ledger or ledger_of(database)
    rollouts = Rollouts(registry or registry_of(settings), bundle=settings.bundle, cache=settings.registry_cache)
    policy = {"most_per_reviewer": settings.most_per_reviewer, "most_per_tenant": settings.most_per_tenant}
    commands = commands or Commands(threads=settings.retraining_threads, salt=dataset_salt(salt))
    patience = patience_of(settings)
    successors = Successors(commands, min(patience.stage, LONGEST))
    erasing = Erasing(database, workshop, labels, successors, clock=clock)
    conductor = Conductor(
        database,
        ledger,
        Stages(ledger, workshop, commands, rollouts, policy, clock),
        erasing,
        Reporting(metrics),
        limits=limits_of(settings),
        mode=settings.retraining_mode,
        patience=patience,
        clock=clock,
    )
    return Retrainer(QueueKeeper(database, erasing, salt=salt, metrics=metrics, clock=clock), conductor)


def dataset_salt(salt: bytes) -> str:
    """32 hex digits that follow from the installation's secret, and do not give it away: a child's arguments show."""
    return hashlib.blake2b(b"datasets", key=salt[:64], digest_size=16).hexdigest()


def ledger_of(database: Database) -> Ledger:
    """With a name that no other process has."""
    return Ledger(database, holder=uuid4().hex, lease_for=LEASE_FOR)


def patience_of(settings: Settings) -> Patience:
    return Patience(
        attempts=settings.retraining_attempts,
        stage=timedelta(minutes=settings.retraining_stage_minutes),
        poll=timedelta(seconds=settings.retraining_poll_seconds),
    )


def start_rollouts(settings: Settings, database: Database, prometheus: CollectorRegistry, stop: Event) -> Thread:
    """Decides about rollouts until `stop`."""
    from services.rollout.process import start_controller

    return start_controller(settings, database, registry_of(settings), prometheus, stop)
