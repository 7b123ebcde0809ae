"""`/api/v1/conversations` and `/api/v1/verdicts`: what was said, and what was made of it."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, HTTPException, Path, Query

from detectors.verdict import DECIDING, Arm, Status, Verdict
from services.archive import conversation_digest
from services.store import audit, cases, conversations, verdicts
from services.store.database import Transaction
from services.store.verdicts import VerdictFilter
from services.triage.errors import NotAllowedError, NotFoundError
from services.web.api import models
from services.web.api.requests import Limit, Reader, Triager, behind, cursor_of
from services.web.services import Services

router = APIRouter(tags=["conversations"])
_MISSING: Final[dict[int | str, dict[str, Any]]] = {404: {"model": models.ProblemOut}}
Name = Annotated[str, Path(min_length=1, max_length=256)]


@router.get("/conversations/{tenant_id}/{conversation_id}", responses=_MISSING)
def conversation(
    services: Services,
    person: Reader,
    tenant_id: Name,
    conversation_id: Name,
    first: Annotated[int, Query(ge=0, le=2**31 - 1, description="position of the first message")] = 0,
    limit: Limit = 100,
) -> models.MessagesOut:
    """A page of a conversation, as stored: redacted."""

    def look(tx: Transaction) -> models.MessagesOut:
        found = None
        if person.may_see(tenant_id):
            found = conversations.get(tx, tenant_id, conversation_id)
        if found is None:
            raise NotFoundError("there is no such conversation")
        page = conversations.messages(tx, tenant_id, conversation_id, first=first, limit=limit + 1)
        return models.MessagesOut(
            conversation=models.MessagesOut.facts(found),
            messages=[message.model_dump(mode="json") for message in page[:limit]],
            next=page[limit].position if len(page) > limit else None,
        )

    return services.desk.read(look)


@router.get("/conversations/{tenant_id}/{conversation_id}/case", responses=_MISSING)
def case_of_conversation(services: Services, person: Reader, tenant_id: Name, conversation_id: Name) -> models.CaseOut:
    """The case that the conversation belongs to."""
    now = services.clock()

    def look(tx: Transaction) -> models.CaseOut:
        member = cases.member(tx, tenant_id, conversation_id) if person.may_see(tenant_id) else None
        case = cases.get(tx, member.case_id) if member else None
        if case is None:
            raise NotFoundError("there is no case of this conversation")
        return models.CaseOut.of(case, now)

    return services.desk.read(look)


@router.post("/conversations/{tenant_id}/{conversation_id}/reveal", responses=_MISSING)
def reveal(
    services: Services, person: Triager, tenant_id: Name, conversation_id: Name, body: models.Reveal
) -> dict[str, Any]:
    """One message without its masks, for a reason that is kept. Answers 409 where originals are not kept."""
    now = services.clock()

    def answered(tx: Transaction) -> dict[str, Any]:
        if not person.may_see(tenant_id) or conversations.get(tx, tenant_id, conversation_id) is None:
            raise NotFoundError("there is no such conversation")
        kept = conversations.sealed(tx, tenant_id, conversation_id, body.position)
        if services.sealer is None or kept is None:
            raise NotAllowedError("what was redacted in this message is not kept")
        message = services.sealer.unsealed(*kept)
        digest = conversation_digest(tenant_id, conversation_id, services.actions.salt)
        told = {"tenant": tenant_id, "position": body.position, "reason": body.reason}
        audit.append(tx, now, person.account, "conversation.reveal", digest, told)
        return message.model_dump(mode="json")

    return services.desk.run(answered, now)


@router.get("/verdicts", tags=["verdicts"])
def list_verdicts(
    services: Services,
    person: Reader,
    *,
    tenant: Annotated[str | None, Query(min_length=1, max_length=256)] = None,
    conversation: Annotated[str | None, Query(min_length=1, max_length=256)] = None,
    flagged: bool = False,
    status: Status | None = None,
    arm: Annotated[Arm | None, Query(description="what this arm says; if not given, what decided")] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Limit = 50,
) -> models.VerdictsOut:
    """Verdicts, the latest first: those that decided, or those of one arm."""
    wanted = VerdictFilter(
        tenants=person.tenants,
        tenant_id=tenant,
        conversation_id=conversation,
        flagged_only=flagged,
        status=status.value if status else None,
        arms=DECIDING if arm is None else (arm,),
        decided_before=behind(cursor),
    )
    found = services.desk.read(lambda tx: verdicts.page(tx, wanted, limit=limit + 1))
    more = found[limit - 1] if len(found) > limit else None
    return models.VerdictsOut(
        verdicts=found[:limit], next=cursor_of(more.decided_at, more.verdict_id) if more else None
    )


@router.get("/verdicts/{verdict_id}", tags=["verdicts"], responses=_MISSING)
def one_verdict(services: Services, person: Reader, verdict_id: UUID) -> Verdict:
    """One verdict, with all scores and its evidence."""
    found = services.desk.read(lambda tx: verdicts.get(tx, verdict_id))
    if found is None or not person.may_see(found.tenant_id):
        raise HTTPException(404, "there is no such verdict")
    return found
