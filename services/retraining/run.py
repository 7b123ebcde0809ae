"""A retraining run, and how it goes from one stage to the next. Pure: `services.store.runs` keeps it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID

Mode = Literal["refresh", "full"]
_LONGEST: Final = 2000


class Stage(StrEnum):
    """What a run is at. A stage that did not come to its end is done again, from what the one before left."""

    ASSEMBLING = "assembling"  # labels become a dataset version
    TRAINING = "training"  # the dataset and the champion become a candidate
    GATING = "gating"  # the candidate is held against the champion
    PUBLISHING = "publishing"  # the candidate is in the registry, and on its way
    ENDED = "ended"


class Outcome(StrEnum):
    """How a run ended."""

    PUBLISHED = "published"
    REFUSED = "refused"  # by the gate, which says why
    NOTHING_NEW = "nothing_new"  # there was nothing to be learnt that is not known already
    FAILED = "failed"  # a stage, as often as it may be tried


NEXT: Final = {
    Stage.ASSEMBLING: Stage.TRAINING,
    Stage.TRAINING: Stage.GATING,
    Stage.GATING: Stage.PUBLISHING,
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it stands. `attempts`: of the stage that it is at. `progress` of that stage, 0 to 1.

    `champion` is what the candidate is made from and held against; `dataset` and `candidate` are names, once they are
    known; `report` is the gate's.
    """

    run_id: UUID
    number: int
    trigger: str
    reason: str
    requested_by: str | None
    mode: Mode
    stage: Stage
    started_at: datetime
    stage_began_at: datetime
    progress: float = 0.0
    outcome: Outcome | None = None
    said: str | None = None
    champion: str | None = None
    dataset: str | None = None
    candidate: str | None = None
    report: dict[str, Any] | None = None
    new_labels: int = 0
    attempts: int = 0
    ended_at: datetime | None = None

    def at_stage(self, stage: Stage, now: datetime, **facts: Any) -> Run:
        """The run as it enters `stage`."""
        return replace(self, stage=stage, stage_began_at=now, progress=0.0, attempts=0, said=None, **facts)

    def advanced(self, now: datetime, **facts: Any) -> Run:
        """The run at its next stage. `facts`: what this one has found out."""
        return self.at_stage(NEXT[self.stage], now, **facts)

    def ended(self, outcome: Outcome, said: str, now: datetime, **facts: Any) -> Run:
        """The run at its end, and why in words."""
        return replace(self, stage=Stage.ENDED, outcome=outcome, said=said[:_LONGEST], ended_at=now, **facts)


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody asked for a run."""

    request_id: UUID
    requested_by: str
    reason: str
    mode: Mode | None
    requested_at: datetime
