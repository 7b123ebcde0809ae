"""What people decided about conversations. Labels are never changed: later ones supersede earlier ones."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator

from detectors.taxonomy import Category
from detectors.transcript import Frozen, Identifier
from services.triage.case import Disposition

MOST_SPANS = 50
LONGEST_ANSWER = 100_000
LONGEST_COMMENT = 10_000


class Source(StrEnum):
    """How the decision came about."""

    TRIAGE = "triage"
    AUDIT = "audit"  # of the random sample, which was mixed in unannounced
    SECOND = "second"  # a blind second look
    BULK = "bulk"  # one decision for several cases at once: nobody read each of them


class Span(Frozen):
    """Characters `start` to `end` of a part's text (`detectors.transcript.part_text`), chosen by a person."""

    message_id: Identifier
    message_index: int = Field(ge=0)
    part_index: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=0)

    @model_validator(mode="after")
    def _not_empty(self) -> Span:
        if self.end <= self.start:
            raise ValueError("end must lie behind start")
        return self


class Decision(Frozen):
    """What a person says about one conversation. `seconds`: how long they looked, as their page measured it."""

    disposition: Disposition
    conversation_id: Identifier
    category: Category | None = Field(default=None, description="what it is, where the detector's category is wrong")
    spans: Annotated[tuple[Span, ...], Field(max_length=MOST_SPANS)] = ()
    corrected_answer: Annotated[str, Field(max_length=LONGEST_ANSWER)] | None = None
    comment: Annotated[str, Field(max_length=LONGEST_COMMENT)] | None = None
    seconds: float | None = Field(default=None, ge=0, le=86_400)

    @model_validator(mode="after")
    def _decides(self) -> Decision:
        if self.disposition is Disposition.RETRACTED:
            raise ValueError("a decision is taken back with undo")
        return self


@dataclass(frozen=True, slots=True)
class Label:
    """One decision, as it is kept. `blind`: made without sight of anybody else's."""

    label_id: UUID
    case_id: UUID
    tenant_id: str
    conversation_id: str
    verdict_id: UUID
    reviewer: str
    disposition: Disposition
    category: str | None
    spans: tuple[Span, ...]
    corrected_answer: str | None
    comment: str | None
    source: Source
    blind: bool
    seconds: float | None
    supersedes: UUID | None
    bundle_version: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Review:
    """A blind second look at a conversation, by anybody but `first_reviewer`."""

    review_id: UUID
    case_id: UUID
    tenant_id: str
    conversation_id: str
    verdict_id: UUID
    first_reviewer: str
    created_at: datetime
    done_by: str | None
    done_at: datetime | None
    label_id: UUID | None
