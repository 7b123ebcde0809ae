"""`/api/v1/events`: what happens to cases, as it happens (server-sent events)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from services.errors import TransientError
from services.store import cases
from services.store.cases import CaseEvent
from services.store.database import Transaction
from services.web.api.requests import Reader
from services.web.services import Services, WebServices

router = APIRouter(tags=["events"])
_LOOK_EVERY: Final = 1.0
_BEAT_EVERY: Final = 15
_MOST_LOOKS: Final = 600
"""Then a client has to connect again: by then its session may be over."""
_OVERLAP: Final = 200
"""Numbers are given when a transaction begins, and seen when it ends: what is a little late must not be missed."""


@router.get("/events", response_class=StreamingResponse)
def live(
    request: Request,
    services: Services,
    person: Reader,
    *,
    after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=2**53)] = None,
) -> StreamingResponse:
    """Each event has the number of what happened as its id, and the case's id in its data: fetch the case again.

    A client that was away goes on behind `Last-Event-ID`.
    """
    began = last_event_id if last_event_id is not None else after
    stream = _stream(request, services, person.tenants, began)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _stream(
    request: Request, services: WebServices, tenants: frozenset[str] | None, began: int | None
) -> AsyncIterator[bytes]:
    def since(number: int) -> Callable[[Transaction], list[CaseEvent]]:
        return lambda tx: cases.events_since(tx, max(0, number - _OVERLAP), tenants)

    reached = began if began is not None else await run_in_threadpool(services.desk.read, cases.last_event_id)
    there = await run_in_threadpool(services.desk.read, since(reached))
    told = {event.event_id for event in there if event.event_id <= reached}
    quiet = 0
    yield b"retry: 2000\n\n"
    for _ in range(_MOST_LOOKS):
        if await request.is_disconnected():
            return
        try:
            found = await run_in_threadpool(services.desk.read, since(reached))
        except TransientError:
            found = []
        new = [event for event in found if event.event_id not in told]
        for event in new:
            yield _written(event)
        told = {number for number in (*told, *(event.event_id for event in new)) if number > reached - 2 * _OVERLAP}
        reached = max([reached, *told])
        quiet = 0 if new else quiet + 1
        if quiet and quiet % _BEAT_EVERY == 0:
            yield b": still here\n\n"
        await asyncio.sleep(_LOOK_EVERY)


def _written(event: CaseEvent) -> bytes:
    """No words of anybody: only what happened to which case."""
    told = {
        "case_id": str(event.case_id),
        "kind": event.kind,
        "actor": event.actor,
        "at": event.at.isoformat(),
        "version": event.data.get("version"),
    }
    return f"id: {event.event_id}\nevent: case\ndata: {json.dumps(told)}\n\n".encode()
