"""`/api/v1/labels`, `/api/v1/reviews`: decisions, taking them back, second looks, and how far they can be trusted."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query

from services.store import labels, verdicts
from services.store.database import Transaction
from services.triage import quality
from services.web.api import models
from services.web.api.requests import Limit, Reader, RepeatsSafely, Triager, actor_of, behind, cursor_of
from services.web.services import Services

router = APIRouter(tags=["labels"])
_MISSING: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": models.ProblemOut},
    409: {"model": models.ProblemOut},
}


@router.get("/labels")
def list_labels(
    services: Services,
    person: Reader,
    *,
    reviewer: Annotated[str | None, Query(min_length=1, max_length=256)] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Limit = 50,
) -> models.LabelsOut:
    """The history of decisions, the latest first. What was taken back is still in it, and so is the taking back."""
    before = behind(cursor)
    found = services.desk.read(
        lambda tx: labels.page(tx, person.tenants, reviewer=reviewer, before=before, limit=limit + 1)
    )
    more = found[limit - 1] if len(found) > limit else None
    return models.LabelsOut(
        labels=[models.LabelOut.of(label) for label in found[:limit]],
        next=cursor_of(more.created_at, more.label_id) if more else None,
    )


@router.post("/labels/{label_id}/undo", responses=_MISSING)
def undo(services: Services, person: Triager, label_id: UUID, repeated: RepeatsSafely) -> models.CaseOut:
    """Take your own latest decision back."""
    now = services.clock()

    def answered(tx: Transaction) -> dict[str, Any]:
        case = services.actions.undo(tx, actor_of(person), label_id, now)
        return models.CaseOut.of(case, now).model_dump(mode="json")

    return models.CaseOut(**services.desk.run(answered, now, repeated))


@router.get("/reviews/next")
def next_review(services: Services, person: Triager) -> dict[str, Any]:
    """The second look that has waited longest and is not about your own decision: without the first decision."""

    def look(tx: Transaction) -> dict[str, Any]:
        found = labels.reviews_waiting(tx, person.account, person.tenants, limit=1)
        if not found:
            return {"review": None}
        review = found[0]
        verdict = verdicts.get(tx, review.verdict_id)
        return {
            "review": {
                "review_id": str(review.review_id),
                "tenant_id": review.tenant_id,
                "conversation_id": review.conversation_id,
                "evidence": [item.model_dump(mode="json") for item in verdict.evidence] if verdict else [],
            }
        }

    return services.desk.read(look)


@router.post("/reviews/{review_id}", responses=_MISSING)
def review(
    services: Services, person: Triager, review_id: UUID, body: models.Reviewed, repeated: RepeatsSafely
) -> models.LabelOut:
    """Decide blindly, as if you were the first."""
    now = services.clock()

    def answered(tx: Transaction) -> dict[str, Any]:
        label = services.actions.review(tx, actor_of(person), review_id, body.decision, now)
        return models.LabelOut.of(label).model_dump(mode="json")

    return models.LabelOut(**services.desk.run(answered, now, repeated))


@router.get("/labels/quality")
def label_quality(
    services: Services, person: Reader, days: Annotated[int, Query(ge=1, le=365)] = 90
) -> quality.Quality:
    """How far labels and detectors can be trusted: agreement, reviewers, recall as the random sample shows it."""
    now = services.clock()
    return services.desk.read(lambda tx: quality.measured(tx, person.tenants, days=days, now=now))


@router.get("/next")
def next_up(services: Services, person: Triager, limit: Limit = 10) -> models.CasesOut:
    """What to label next so that detectors learn most: what they are unsure of, and unlike what is labelled already."""
    now = services.clock()
    found = services.desk.read(lambda tx: quality.most_instructive(tx, person.tenants, now=now, limit=limit))
    return models.CasesOut(cases=[models.CaseOut.of(case, now) for case in found], next=None)
