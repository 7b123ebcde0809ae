"""What Plumbline concludes about one event."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID, uuid5

from pydantic import AfterValidator, Field

from detectors.observation import Observation
from detectors.transcript import Frozen, Identifier, Moment, printable

Label = Annotated[str, Field(pattern="^[a-z_]{1,64}$")]
"""A category id, or `misalignment`."""

Probability = Annotated[float, Field(ge=0.0, le=1.0)]

_NAMESPACE = UUID("6a1f4f0e-52e4-5f0b-9d0c-3c0a1f8f6c11")


class Status(StrEnum):
    SCORED = "scored"
    PARTIAL = "partial"  # scored, but not all of it was there or could be read: `reason` says what
    UNSCORED = "unscored"  # `reason` says why; never to be read as "safe"


class Cause(StrEnum):
    """Why a verdict is no better than it is: `reason` in a word that can be counted."""

    SAYS_NOTHING = "says_nothing"  # the agent: there is nothing of it to judge
    EMPTY = "empty"
    UNREADABLE = "unreadable"
    NOT_A_NUMBER = "not_a_number"
    DETECTOR_FAILED = "detector_failed"  # one on trial: where it decides, the stable one judges in its place
    OUT_OF_SEQUENCE = "out_of_sequence"
    TOO_LONG = "too_long"
    UNKNOWN_PARTS = "unknown_parts"
    TRUNCATED = "truncated"  # by the sender
    GAPS = "gaps"  # that the sender knows of


class Stage(StrEnum):
    """How far up the cascade the decision was made."""

    NONE = "none"
    SCREEN = "screen"
    ENSEMBLE = "ensemble"


class Arm(StrEnum):
    """Which bundle said it, and what for."""

    STABLE = "stable"
    CANARY = "canary"  # a candidate, for its share of conversations
    SHADOW = "shadow"  # a candidate, beside the stable one: compared, and nothing else
    HELD_OUT = "held_out"  # a detector whose word never reaches training data of the monitored model

    @property
    def decides(self) -> bool:
        """Whether cases, alerts and coverage come of it. Exactly one verdict of each event decides."""
        return self in DECIDING


DECIDING: Final = frozenset({Arm.STABLE, Arm.CANARY})


def verdict_id(tenant_id: str, conversation_id: str, event_id: str, bundle_version: str, arm: Arm = Arm.STABLE) -> UUID:
    """The same event judged by the same bundle always has the same id, however often it is delivered.

    Tenant and conversation are part of it: nobody takes the place of another one's verdict by reusing an event id.
    Nor does what a bundle said on trial take the place of what the same bundle says when it decides.
    """
    parts = (tenant_id, conversation_id, event_id, bundle_version, *(() if arm.decides else (arm.value,)))
    return uuid5(_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts))


class Evidence(Frozen):
    """Characters `start` to `end` of `part_text(messages[message_index].parts[part_index])` that speak for `category`.

    `message_index` counts in the conversation (the event's `first_message` is its first). `weight` is the
    characters' additive share of the window's log-odds for the category.
    """

    message_id: Identifier
    message_index: int = Field(ge=0)
    part_index: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    category: Label
    weight: float


class DetectorScore(Frozen):
    """One detector's own calibrated overall probability, before the ensemble."""

    name: Identifier
    version: Identifier
    score: Probability


class Verdict(Frozen):
    """What became of one event: scored, partly scored, or unscored for a reason."""

    verdict_id: UUID
    event_id: Identifier
    tenant_id: Identifier
    conversation_id: Identifier
    seq: int | None = Field(default=None, ge=0, le=2**53)
    status: Status
    reason: Annotated[str, Field(max_length=2000), AfterValidator(printable)] | None = None
    cause: Cause | None = None
    scores: dict[Label, Probability] = Field(default_factory=dict)
    misalignment: Probability | None = None
    flagged: tuple[Label, ...] = ()
    thresholds: dict[Label, Probability] = Field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    detectors: tuple[DetectorScore, ...] = ()
    bundle_version: Identifier
    arm: Arm = Arm.STABLE
    stage: Stage = Stage.NONE
    seconds: float | None = Field(default=None, ge=0, description="the detector's share of its batch's time")
    synthetic: bool = False
    observed: Observation | None = Field(default=None, description="for correlation; None from older versions")
    occurred_at: Moment
    decided_at: Moment
