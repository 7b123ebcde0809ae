"""`/api/v1/loop`: from labels to detectors: where it stands, and moving it by hand."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from services.rollout.steering import Manual
from services.web.api import models as api
from services.web.api.requests import Reader, RepeatsSafely
from services.web.loop import acting, models
from services.web.loop.looking import looked
from services.web.services import Services

router = APIRouter(prefix="/loop", tags=["loop"])
_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": api.ProblemOut} for status in (403, 404, 409, 503)
}


@router.get("/status")
def status(services: Services, person: Reader) -> models.LoopOut:
    """Runs, new labels, what the last gate found, and the rollout with its arms compared."""
    return looked(services, person, services.clock())


@router.post("/retrain-now", responses=_REFUSED)
def retrain_now(
    services: Services, person: Reader, body: models.RetrainNow, repeated: RepeatsSafely
) -> models.AskedOut:
    """Ask for a run. It starts as soon as none is under way."""
    return models.AskedOut(request_id=acting.retrain_now(services, person, body, services.clock(), repeated))


@router.post("/promote", responses=_REFUSED)
def promote(services: Services, person: Reader, body: models.Move) -> models.RolloutOut:
    """Make the candidate the stable version, whatever stage it is in."""
    return acting.move(services, person, Manual.PROMOTE, body)


@router.post("/roll-back", responses=_REFUSED)
def roll_back(services: Services, person: Reader, body: models.Move) -> models.RolloutOut:
    """Take the candidate away; without one, go back to the stable version before this one."""
    return acting.move(services, person, Manual.ROLL_BACK, body)


@router.post("/pause", responses=_REFUSED)
def pause(services: Services, person: Reader, body: models.Move) -> models.RolloutOut:
    """Leave the candidate where it is until somebody resumes. Harm that shows still rolls it back."""
    return acting.move(services, person, Manual.PAUSE, body)


@router.post("/resume", responses=_REFUSED)
def resume(services: Services, person: Reader, body: models.Move) -> models.RolloutOut:
    """Let the stage go on."""
    return acting.move(services, person, Manual.RESUME, body)
