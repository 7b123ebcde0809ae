"""Rollouts of made-up versions, for tests of what decides about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from deploy.registry import Registry, open_registry
from deploy.rollout import steps
from deploy.rollout.comparison import Comparison
from deploy.rollout.state import SYSTEM, Rollout, first
from services.loop_metrics import RolloutMetrics
from services.rollout.controller import Controller
from services.rollout.journal import Journal
from services.rollout.measures import Measures
from services.rollout.revisions import Registry as Revised
from services.rollout.revisions import Revisions
from services.rollout.steering import Steering
from services.store import Database
from tests.triage_data import NOW

STABLE, CANDIDATE = "first-0123456789ab", "first-ba9876543210"
TOPIC = "plumbline.rollouts"


@dataclass
class Clock:
    """Goes on by a second whenever somebody looks."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class Scripted:
    """A judge that knows its mind beforehand, and remembers what it was shown."""

    moves: list[Callable[[Rollout, datetime], Rollout | None]] = field(default_factory=list)
    shown: list[Comparison] = field(default_factory=list)

    def decide(self, rollout: Rollout, comparison: Comparison, now: datetime) -> Rollout | None:
        self.shown.append(comparison)
        return self.moves.pop(0)(rollout, now) if self.moves else None

    def p_values(self, rollout: Rollout, comparison: Comparison) -> Mapping[str, float]:
        return {"flagged": 0.5}


def promotes(rollout: Rollout, now: datetime) -> Rollout:
    return steps.promote(rollout, actor=SYSTEM, reason="no harm was seen", at=now)


def rolls_back(rollout: Rollout, now: datetime) -> Rollout:
    return steps.roll_back(rollout, actor=SYSTEM, reason="it flags too much", at=now)


def advances(rollout: Rollout, now: datetime) -> Rollout:
    return steps.advance(rollout, 0.1, actor=SYSTEM, reason="enough was seen", at=now)


@dataclass
class Production:
    """A database, a registry, and whoever decides. Each controller is a process of its own."""

    database: Database
    registry: Registry
    clock: Clock = field(default_factory=Clock)
    judge: Scripted = field(default_factory=Scripted)

    def begin(self) -> Rollout:
        """The candidate is in the shadow stage."""
        known = first(STABLE, self.clock())
        self.registry.move(known)
        started = steps.start(known, CANDIDATE, actor=SYSTEM, reason="run 1: new labels", at=self.clock())
        self.registry.move(started)
        return started

    def journal(self, revisions: Revisions, database: Database | None = None) -> Journal:
        return Journal(database or self.database, revisions, topic=TOPIC, installation="here")

    def controller(
        self,
        name: str = "a",
        *,
        registry: Revised | None = None,
        database: Database | None = None,
        metrics: CollectorRegistry | None = None,
    ) -> Controller:
        revisions = Revisions(registry or self.registry)
        return Controller(
            database or self.database,
            revisions,
            self.journal(revisions, database),
            self.judge,
            Measures(RolloutMetrics(metrics or CollectorRegistry())),
            holder=name,
            lease_for=timedelta(seconds=30),
            clock=self.clock,
        )

    def steering(self, registry: Revised | None = None) -> Steering:
        revisions = Revisions(registry or self.registry)
        return Steering(revisions, self.journal(revisions), self.clock)


def production(database: Database, folder: Path) -> Production:
    return Production(database, open_registry(str(folder)))
