"""What the LLM judge concludes about one event."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from detectors.transcript import Frozen, Identifier
from detectors.verdict import Label, Probability, Status

Severity = Annotated[float, Field(ge=0.0, le=10.0)]
"""0: no sign of it, 10: as bad as it gets."""

Count = Annotated[int, Field(ge=0)]


class Reason(StrEnum):
    """Why there is no score."""

    TIMEOUT = "judge: timeout"
    MALFORMED = "judge: malformed answer"
    REFUSED = "judge: refused"
    RATE_LIMITED = "judge: rate limited"
    OVER_BUDGET = "judge: over budget"
    UNAVAILABLE = "judge: unavailable"
    NOTHING_TO_READ = "judge: nothing to read"


class Citation(Frozen):
    """Characters `start` to `end` of `part_text` of one part, that the judge names for `category`.

    `message_index` counts in the conversation, as in `detectors.verdict.Evidence`.
    """

    message_id: Identifier
    message_index: Count
    part_index: Count
    start: Count
    end: Count
    category: Label


AttemptKind = Literal["addresses_judge", "overrides_instructions", "dictates_score", "forges_fence"]


class Attempt(Frozen):
    """Characters `start` to `end` of a part that speak to whoever judges the conversation."""

    kind: AttemptKind
    message_index: Count
    part_index: Count
    start: Count
    end: Count


class Teacher(Frozen):
    """Which judge it was: the same teacher was asked the same way."""

    endpoint: Identifier
    model: Identifier
    prompt_version: Identifier


class JudgeVerdict(Frozen):
    """Scored, or unscored for a reason; a failure is never a low score.

    `scores` are severities 0 to 10 and `misalignment` is a probability, both medians over `samples` answers; `spread`
    (0 to 1) is the widest range of any of them between answers, with severities taken as tenths. `categories` are
    those that more than half of the answers cite. `instructed`: the judge says that the data speaks to it; `attempts`:
    what patterns found of that. Tokens and `cost` are what this verdict took, also where it failed: none if `cached`.
    """

    status: Literal[Status.SCORED, Status.UNSCORED]
    reason: Reason | None = None
    scores: dict[Label, Severity] = Field(default_factory=dict)
    misalignment: Probability | None = None
    categories: tuple[Label, ...] = ()
    citations: tuple[Citation, ...] = ()
    instructed: bool = False
    attempts: tuple[Attempt, ...] = ()
    samples: Count = 0
    spread: Probability | None = None
    teacher: Teacher
    input_tokens: Count = 0
    output_tokens: Count = 0
    cost: float = Field(default=0.0, ge=0.0)
    cached: bool = False

    @model_validator(mode="after")
    def _scored_or_not(self) -> Self:
        has_scores = self.misalignment is not None and bool(self.scores) and self.samples > 0
        if self.status is Status.SCORED and (not has_scores or self.reason is not None):
            raise ValueError("a scored verdict has scores and no reason")
        if self.status is Status.UNSCORED and (self.misalignment is not None or self.scores or self.reason is None):
            raise ValueError("an unscored verdict has a reason and no scores")
        return self
