"""What admins do to the loop. It is everybody's: who sees some tenants only, does not move it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from services.accounts.errors import Forbidden
from services.accounts.principal import Principal, Role
from services.retraining.run import Request
from services.rollout.errors import NoRolloutError
from services.rollout.steering import Manual
from services.store import audit, loop
from services.store.database import Transaction
from services.triage.desk import Once
from services.web.loop.models import Move, RetrainNow, RolloutOut
from services.web.services import WebServices


def may_act(person: Principal) -> bool:
    return person.role.covers(Role.ADMIN) and person.tenants is None


def move(services: WebServices, person: Principal, manual: Manual, wanted: Move) -> RolloutOut:
    """The rollout after the step. Raises `Forbidden`, `SteeringError`, `TransientError` and `RegistryUnusable`."""
    _require(person)
    if services.rollouts is None:
        raise NoRolloutError("no registry is configured (PLUMBLINE_REGISTRY)")
    steering = services.rollouts.steering
    taken = steering.take(manual, actor=person.account, reason=wanted.reason, seen=wanted.revision)
    return RolloutOut.of(taken, whole=True)


def retrain_now(services: WebServices, person: Principal, wanted: RetrainNow, now: datetime, once: Once | None) -> UUID:
    """Asks for a run; it starts as soon as none is under way. Raises `Forbidden`, `KeyReusedError` and
    `TransientError`.
    """
    _require(person)
    request = Request(uuid4(), person.account, wanted.reason, wanted.mode, now)
    told = {"reason": wanted.reason, "mode": wanted.mode}

    def asked(tx: Transaction) -> dict[str, str]:
        loop.ask(tx, request)
        audit.append(tx, now, person.account, "retraining.asked", str(request.request_id), told)
        return {"request_id": str(request.request_id)}

    return UUID(services.desk.run(asked, now, once)["request_id"])


def _require(person: Principal) -> None:
    person.require(Role.ADMIN)
    if not may_act(person):
        raise Forbidden("this concerns all tenants: it is for admins who see all of them")
