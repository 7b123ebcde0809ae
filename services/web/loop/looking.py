"""Where the loop stands, for one person."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Final

from deploy.rollout.state import Rollout
from services.accounts.principal import Principal
from services.retraining.situation import limits_of
from services.retraining.status import status
from services.rollout.errors import RegistryAway, RegistryUnusable
from services.rollout.lookout import Seen
from services.rollout.standing import ArmStands, Compared
from services.store import loop
from services.store.database import Transaction
from services.web.loop import models
from services.web.loop.gate import gate_of
from services.web.services import WebServices

_RUNS: Final = 10


def looked(services: WebServices, person: Principal, now: datetime) -> models.LoopOut:
    """All that this person may see. Without the registry, the rest. Raises `TransientError` without the database."""
    seen, problem = _rollout(services)
    whole = person.tenants is None

    def look(tx: Transaction) -> models.LoopOut:
        limits = limits_of(services.settings)
        found = status(tx, seen.rollout if seen else None, limits, now, runs=_RUNS)
        waiting = None if whole else next(iter(loop.waiting(tx)), None)
        return models.LoopOut(
            runs=[models.RunOut.of(run, whole=whole) for run in found.runs],
            labels=models.LabelsOut(
                confirmed=found.confirmed,
                dismissed=found.dismissed,
                needed=limits.new_labels,
                next="a run was asked for" if waiting else found.next,
            ),
            gate=gate_of(tx, found.runs, person.tenants),
            registry=services.rollouts is not None,
            rollout=_shown(seen.rollout, whole=whole) if seen else None,
            compared=_compared(seen.compared) if seen and seen.compared else None,
            history=[_shown(each, whole=whole) for each in seen.history] if seen else [],
            problem=problem,
        )

    return services.desk.read(look)


def _rollout(services: WebServices) -> tuple[Seen | None, str | None]:
    """What is known of the rollout, and why nothing is."""
    if services.rollouts is None:
        return None, None
    try:
        return services.rollouts.lookout.look(), None
    except RegistryAway:
        return None, "the registry does not answer"
    except RegistryUnusable as error:
        return None, str(error)


def _shown(rollout: Rollout, *, whole: bool) -> models.RolloutOut:
    return models.RolloutOut.of(rollout, whole=whole)


def _compared(of: Compared) -> models.ComparedOut:
    return models.ComparedOut(
        arms=[_arm(each) for each in of.arms],
        agreed=models.estimated(of.agreed),
        findings=[models.FindingOut(**{**asdict(each), "what": each.what.value}) for each in of.findings],
        harm_at=of.alpha,
        doubt_at=of.doubt,
        events_needed=of.events_needed,
        until=of.until,
        ends_at=of.ends_at,
        counted_at=of.counted_at,
    )


def _arm(of: ArmStands) -> models.ArmOut:
    return models.ArmOut(
        arm=of.arm.value,
        version=of.version,
        events=of.events,
        conversations=of.conversations,
        flagged=models.estimated(of.flagged),
        incomplete=models.estimated(of.incomplete),
        confirmed=models.estimated(of.confirmed),
        seconds_per_event=of.seconds_per_event,
    )
