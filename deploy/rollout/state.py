"""The rollout: which version is stable, which one is on its way, and how far. Pure; the registry keeps it.

Each change is a new revision; a revision, once written, stays as it is.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import Field, model_validator

from detectors.transcript import Frozen, Identifier, Moment
from detectors.verdict import Arm


class RolloutStage(StrEnum):
    STEADY = "steady"  # one version serves everybody
    SHADOW = "shadow"  # the candidate judges everything, beside the stable one, and nothing comes of it
    CANARY = "canary"  # the candidate judges its share of conversations for good


class Step(StrEnum):
    """What the latest revision did."""

    STARTED = "started"
    ADVANCED = "advanced"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    PAUSED = "paused"
    RESUMED = "resumed"


SYSTEM: Final = "plumbline"
"""The actor of what nobody did."""


class Rollout(Frozen):
    """What scorers serve. `share`: of conversations, for the candidate, in the canary stage.

    `salt` decides, together with the conversation, who is in that share: it is the candidate's for its whole way.
    """

    revision: int = Field(ge=1)
    stage: RolloutStage
    stable: Identifier
    candidate: Identifier | None = None
    previous: Identifier | None = None
    share: float = Field(default=0.0, ge=0.0, le=1.0)
    salt: str = ""
    paused: bool = False
    step: Step
    actor: Identifier
    reason: str = Field(max_length=2000)
    at: Moment
    stage_began_at: Moment

    @model_validator(mode="after")
    def _whole(self) -> Rollout:
        if (self.candidate is None) != (self.stage is RolloutStage.STEADY):
            raise ValueError("a candidate is on its way in the stages shadow and canary, and in no other")
        if self.candidate is not None and self.candidate == self.stable:
            raise ValueError("the candidate is stable already")
        return self

    def arm_of(self, tenant_id: str, conversation_id: str) -> Arm:
        """Whose word counts for a conversation: always the same one within a stage, whichever process asks."""
        if self.stage is RolloutStage.CANARY and in_share(tenant_id, conversation_id, self.share, self.salt):
            return Arm.CANARY
        return Arm.STABLE


def in_share(tenant_id: str, conversation_id: str, share: float, salt: str) -> bool:
    """Whether a conversation is among this share of all, drawn by its key. A larger share holds a smaller one."""
    written = f"{len(tenant_id)}:{tenant_id}{conversation_id}".encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(written, key=salt.encode()[:64], digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def first(stable: str, at: datetime, *, actor: str = SYSTEM) -> Rollout:
    """The rollout of an installation that starts with one version."""
    return Rollout(
        revision=1,
        stage=RolloutStage.STEADY,
        stable=stable,
        step=Step.STARTED,
        actor=actor,
        reason="the first version",
        at=at,
        stage_began_at=at,
    )
