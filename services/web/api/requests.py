"""What every request of the API brings along: who asks, when, and whether it came before."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, HTTPException, Query, Request

from services.accounts.principal import Principal
from services.triage.actions import Actor
from services.triage.desk import Once
from services.web.identity import signed_in, triager

Reader = Annotated[Principal, Depends(signed_in)]
Triager = Annotated[Principal, Depends(triager)]
Limit = Annotated[int, Query(ge=1, le=200, description="at most so many")]
MOST_BODY = 1_000_000


def actor_of(principal: Principal) -> Actor:
    return Actor(principal.account, principal.tenants)


async def once(
    request: Request,
    person: Triager,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$", description="the same request once only"),
    ] = None,
) -> Once | None:
    """The request's idempotency key; it stands for method, path and body."""
    if idempotency_key is None:
        return None
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode() + await request.body()).hexdigest()
    return Once(person.account, idempotency_key, digest)


RepeatsSafely = Annotated[Once | None, Depends(once)]


def cursor_of(moment: datetime, number: UUID) -> str:
    """A cursor behind something that has a time and an id."""
    body = json.dumps([moment.isoformat(), str(number)])
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def behind(cursor: str | None) -> tuple[datetime, UUID] | None:
    """What `cursor_of` made. Answers 422 for what it did not."""
    if cursor is None:
        return None
    try:
        moment, number = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        found = datetime.fromisoformat(moment)
        if found.tzinfo is None:
            raise ValueError("no time zone")
        return found, UUID(number)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        raise HTTPException(422, "cursor: not one of ours") from None
