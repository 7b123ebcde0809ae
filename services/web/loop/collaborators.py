"""What of rollouts the page and the API work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.rollout.configured import journal_of, policy_of, registry_of
from services.rollout.lookout import Lookout
from services.rollout.revisions import Registry, Revisions
from services.rollout.steering import Steering
from services.settings import Settings
from services.store import Database


@dataclass(frozen=True, slots=True)
class Rollouts:
    """To look at, and to move."""

    lookout: Lookout
    steering: Steering


def rollouts_of(
    settings: Settings, database: Database, salt: bytes, clock: Callable[[], datetime], registry: Registry | None = None
) -> Rollouts | None:
    """As configured, on `registry` if that is given; None where none is configured. Raises `RegistryUnusable` for
    settings that make no sense; whether it is there is asked later.
    """
    if registry is None and settings.registry is None:
        return None
    revisions = Revisions(registry or registry_of(settings))
    journal = journal_of(settings, database, revisions, salt)
    return Rollouts(Lookout(database, revisions, policy_of(settings), clock), Steering(revisions, journal, clock))
