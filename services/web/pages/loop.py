"""The loop: what people's labels come to, and which detectors serve."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form
from starlette.responses import Response

from services.rollout.steering import Manual
from services.triage.desk import Once
from services.web.loop import acting
from services.web.loop.looking import looked
from services.web.loop.models import Move, Reason, RetrainNow, Revision
from services.web.pages import loop_in_words
from services.web.pages.refused import PageRoute
from services.web.pages.visit import Reading, Ruling

router = APIRouter(prefix="/loop", include_in_schema=False, route_class=PageRoute)
PAGE: Final = "/loop"


@router.get("")
def show(visit: Reading) -> Response:
    """All of it."""
    return visit.show(
        "loop.html",
        it=looked(visit.services, visit.person, visit.now),
        may_act=acting.may_act(visit.person),
        once=secrets.token_urlsafe(12),
        words=loop_in_words,
        polled=False,
    )


@router.get("/now")
def now(visit: Reading) -> Response:
    """What changes while somebody looks: the page asks for it again and again."""
    found = looked(visit.services, visit.person, visit.now)
    may_act = acting.may_act(visit.person)
    return visit.show("_loop_now.html", it=found, may_act=may_act, polled=True, words=loop_in_words)


@router.post("/retrain-now")
def retrain_now(
    visit: Ruling,
    reason: Annotated[Reason, Form()],
    once: Annotated[str, Form(min_length=1, max_length=100, pattern=r"^[\w-]+$")],
    mode: Annotated[Literal["", "refresh", "full"], Form()] = "",
) -> Response:
    """A form that comes twice asks once."""
    wanted = RetrainNow(reason=reason, mode=mode or None)
    digest = hashlib.sha256(f"{PAGE}/retrain-now\n{wanted.model_dump_json()}".encode()).hexdigest()
    acting.retrain_now(
        visit.services, visit.person, wanted, visit.now, Once(visit.person.account, f"page-{once}", digest)
    )
    return visit.go(f"{PAGE}#runs")


@router.post("/{step}")
def move(
    visit: Ruling,
    step: Literal["promote", "roll-back", "pause", "resume"],
    revision: Annotated[Revision, Form()],
    reason: Annotated[Reason, Form()],
) -> Response:
    """On to the page as it is then."""
    acting.move(visit.services, visit.person, Manual(step.replace("-", "_")), Move(revision=revision, reason=reason))
    return visit.go(f"{PAGE}#rollout")
