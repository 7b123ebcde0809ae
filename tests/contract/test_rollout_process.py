"""The controller as a process runs it: it decides by what the database holds, and lets go when it is stopped."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from prometheus_client import CollectorRegistry

from deploy.registry import Registry, open_registry
from deploy.rollout import steps
from deploy.rollout.state import SYSTEM, Rollout, RolloutStage, Step, first
from detectors.verdict import Arm
from services.rollout.controller import LEASE
from services.rollout.process import start_controller
from services.settings import Settings, load_settings
from services.store import Database, audit, leases, verdicts
from tests.rollout_data import CANDIDATE, STABLE
from tests.triage_data import event, verdict

SOON = 30.0


@pytest.fixture
def settings() -> Settings:
    return load_settings(
        rollout_shadow_events=20, rollout_shadow_minutes=0, rollout_canary_events=20, rollout_poll_seconds=0.05
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = open_registry(str(tmp_path / "registry"))
    began = datetime.now(UTC) - timedelta(minutes=5)
    known = first(STABLE, began)
    made.move(known)
    made.move(steps.start(known, CANDIDATE, actor=SYSTEM, reason="run 1", at=began))
    return made


def record(database: Database, *, flagged: int) -> None:
    """Three hundred conversations that both judged; of them the candidate flagged so many, the stable version none."""
    made = [
        verdict(
            event(f"c{number}"),
            bundle=version,
            arm=arm,
            seconds=0.01,
            flagged=("deception",) if arm is Arm.SHADOW and number < flagged else (),
        )
        for arm, version in ((Arm.STABLE, STABLE), (Arm.SHADOW, CANDIDATE))
        for number in range(300)
    ]
    with database.write() as tx:
        verdicts.add(tx, made, datetime.now(UTC) - timedelta(minutes=1))


def moved(database: Database, registry: Registry, settings: Settings) -> Rollout:
    """The first revision that a running controller makes."""
    stop = Event()
    thread = start_controller(settings, database, registry, CollectorRegistry(), stop)
    deadline = time.monotonic() + SOON
    while (found := registry.rollout()) is None or found.revision < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stop.set()
    thread.join(SOON)
    assert not thread.is_alive()
    return found


@pytest.mark.parametrize(
    ("flagged", "step", "stage"),
    [(0, Step.ADVANCED, RolloutStage.CANARY), (150, Step.ROLLED_BACK, RolloutStage.STEADY)],
)
def test_what_the_arms_did_decides(
    database: Database, registry: Registry, settings: Settings, flagged: int, step: Step, stage: RolloutStage
) -> None:
    record(database, flagged=flagged)
    found = moved(database, registry, settings)
    assert (found.step, found.stage, found.stable, found.actor) == (step, stage, STABLE, SYSTEM)
    now = datetime.now(UTC)
    with database.write() as tx:
        told = [entry.action for entry in audit.entries(tx)]
        assert told == ["rollout.started", "rollout.started", f"rollout.{step.value}"]
        assert leases.take(tx, LEASE, "another", now=now, until=now)
