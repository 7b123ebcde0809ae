"""What is told of the loop, and what is asked of it. Nothing here says a word of a conversation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from deploy.rollout.state import SYSTEM, Rollout, Step
from services.retraining.run import Run
from services.triage.estimates import Estimate
from services.web.api.models import Model

LONGEST_REASON = 500


def _in_one_line(text: str) -> str:
    stripped = " ".join(text.split())
    if not stripped or not stripped.isprintable():
        raise ValueError("say why, in words")
    return stripped


Reason = Annotated[str, Field(min_length=1, max_length=LONGEST_REASON), AfterValidator(_in_one_line)]
Revision = Annotated[int, Field(ge=1, le=10**12, description="of the rollout that you saw; another one is a conflict")]


class Move(Model):
    """Sent again, it changes nothing."""

    revision: Revision
    reason: Reason


class RetrainNow(Model):
    reason: Reason
    mode: Literal["refresh", "full"] | None = Field(default=None, description="null: as configured")


class AskedOut(Model):
    """A request for a run."""

    request_id: UUID


class RunOut(Model):
    """A retraining run. `reason` and `said` are null where they may speak of what somebody must not see."""

    number: int
    trigger: str
    reason: str | None
    requested_by: str | None
    mode: str
    stage: str
    progress: float
    outcome: str | None
    said: str | None
    champion: str | None
    dataset: str | None
    candidate: str | None
    new_labels: int
    attempts: int
    started_at: datetime
    stage_began_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, run: Run, *, whole: bool) -> RunOut:
        """`whole`: for who may see all tenants."""
        told = {name: getattr(run, name) for name in cls.model_fields}
        if not whole:
            told |= {"said": None, "reason": run.reason if run.requested_by is None else None}
        return cls(**told)


class LabelsOut(Model):
    """Labels that no run has counted. `needed` confirmed ones of one category start a run."""

    confirmed: dict[str, int]
    dismissed: int
    needed: int
    next: str


class RolloutOut(Model):
    """A revision of the rollout. `reason` is null where it may speak of what somebody must not see."""

    revision: int
    stage: str
    stable: str
    candidate: str | None
    previous: str | None
    share: float
    paused: bool
    step: str
    actor: str
    reason: str | None
    at: datetime
    stage_began_at: datetime

    @classmethod
    def of(cls, rollout: Rollout, *, whole: bool) -> RolloutOut:
        told = {name: getattr(rollout, name) for name in cls.model_fields}
        return cls(
            **told | {"stage": rollout.stage.value, "step": rollout.step.value, "reason": _reason(rollout, whole)}
        )


def _reason(rollout: Rollout, whole: bool) -> str | None:  # noqa: FBT001  (read in one line)
    """What people wrote may name tenants; the first words of a run's say which run it was."""
    if whole:
        return rollout.reason
    if rollout.actor == SYSTEM and rollout.step is Step.STARTED:
        return rollout.reason.partition(":")[0]
    return rollout.reason if rollout.actor == SYSTEM else None


class EstimateOut(Model):
    """A share with its 95 % interval, from `of` conversations."""

    value: float
    low: float
    high: float
    of: int


class ArmOut(Model):
    """One arm since the stage began."""

    arm: str
    version: str
    events: int
    conversations: int
    flagged: EstimateOut | None
    incomplete: EstimateOut | None
    confirmed: EstimateOut | None
    seconds_per_event: float | None


class FindingOut(Model):
    """What is watched. `harm` and `doubt` are p-values that hold at any time."""

    what: str
    words: str
    harm: float
    doubt: float | None
    is_within: bool


class ComparedOut(Model):
    """Both arms. `harm_at`: from a p-value of harm so small on, the candidate is rolled back."""

    arms: list[ArmOut]
    agreed: EstimateOut | None
    findings: list[FindingOut]
    harm_at: float
    doubt_at: float
    events_needed: int
    until: datetime
    ends_at: datetime
    counted_at: datetime


def estimated(estimate: Estimate | None) -> EstimateOut | None:
    if estimate is None:
        return None
    return EstimateOut(value=estimate.value, low=estimate.low, high=estimate.high, of=estimate.of)


class ExampleOut(Model):
    """What a candidate got wrong: a conversation with its case, or a row of Plumbline's own data by its id."""

    name: str
    case_id: UUID | None
    conversation_id: str | None


class MeasuredOut(Model):
    """One number of one slice, before and after. `margin`: so much worse it may be."""

    slice: str
    metric: str
    champion: float | None
    candidate: float | None
    low: float | None
    high: float | None
    margin: float | None
    passed: bool


class RefusalOut(MeasuredOut):
    """What spoke against the candidate. `hidden`: examples that this person must not see."""

    examples: list[ExampleOut]
    hidden: int


class SliceOut(Model):
    """`status`: measured, merged with others that are too small, or too small by itself."""

    slice: str
    status: str
    groups: int
    metrics: list[MeasuredOut]


class TargetOut(Model):
    """What the candidate was trained to be better at."""

    slice: str
    status: str
    champion: float | None
    candidate: float | None


class GateOut(Model):
    """What the gate found, and what the dataset was made of. `hidden`: slices of tenants that this person must not
    see.
    """

    run: int
    passed: bool
    champion: str
    candidate: str
    refusals: list[RefusalOut]
    slices: list[SliceOut]
    targets: list[TargetOut]
    hidden: int
    parts: dict[str, float]
    held_back: dict[str, float]


class LoopOut(Model):
    """Where the loop stands. `problem`: why nothing is said of the rollout."""

    runs: list[RunOut]
    labels: LabelsOut
    gate: GateOut | None
    registry: bool
    rollout: RolloutOut | None
    compared: ComparedOut | None
    history: list[RolloutOut]
    problem: str | None
