"""The controller as part of a process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Final
from uuid import uuid4

from prometheus_client import CollectorRegistry

from services.loop_metrics import RolloutMetrics
from services.rollout.configured import journal_of, policy_of
from services.rollout.controller import Controller
from services.rollout.judging import Judging
from services.rollout.measures import Measures
from services.rollout.revisions import Registry, Revisions
from services.settings import Settings
from services.store import Database
from services.triage.configured import salt_of

_SHORTEST_LEASE: Final = timedelta(seconds=60)
_LOOKS: Final = 3
"""So many looks may fail before another process takes over."""


def controller_of(
    settings: Settings, database: Database, registry: Registry, prometheus_registry: CollectorRegistry
) -> Controller:
    """With a name that no other process has."""
    revisions = Revisions(registry)
    return Controller(
        database,
        revisions,
        journal_of(settings, database, revisions, salt_of(database)),
        Judging(policy_of(settings)),
        Measures(RolloutMetrics(prometheus_registry)),
        holder=uuid4().hex,
        lease_for=max(_SHORTEST_LEASE, _LOOKS * timedelta(seconds=settings.rollout_poll_seconds)),
        clock=lambda: datetime.now(UTC),
    )


def start_controller(
    settings: Settings, database: Database, registry: Registry, prometheus_registry: CollectorRegistry, stop: Event
) -> Thread:
    """A thread that decides about rollouts until `stop`. Registry and database may be away, the registry also at first;
    the database is asked for a secret of its own once, and has to be there for that.
    """
    controller = controller_of(settings, database, registry, prometheus_registry)
    every = timedelta(seconds=settings.rollout_poll_seconds)
    thread = Thread(target=controller.run, args=(stop, every), name="rollout", daemon=True)
    thread.start()
    return thread
