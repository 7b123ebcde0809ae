"""The detectors of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from deploy.rollout.state import Rollout, RolloutStage, in_share
from detectors.detector import Detector
from detectors.transcript import TranscriptEvent
from detectors.verdict import Arm

_HELD_OUT_SALT: Final = "held-out"
"""Never a candidate's: who is watched has nothing to do with who is in a canary's share."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A detector that watches a share of all conversations, and whose word reaches no training data."""

    detector: Detector
    share: float

    def watches(self, event: TranscriptEvent) -> bool:
        """Always the same of a conversation."""
        return in_share(event.tenant_id, event.conversation_id, self.share, _HELD_OUT_SALT)


@dataclass(frozen=True)
class Serving:
    """Loaded detectors, whole, and what each is for. It never changes: what comes next is another one.

    `candidate` is None where the rollout has none, or where it is not loaded here. `rollout` is None without one.
    """

    stable: Detector
    rollout: Rollout | None = None
    candidate: Detector | None = None
    held_out: HeldOut | None = None

    @cached_property
    def detectors(self) -> Mapping[Arm, Detector]:
        """Each arm that is there, and who speaks for it."""
        found = {Arm.STABLE: self.stable}
        if self.candidate is not None and self.rollout is not None:
            found[Arm.CANARY if self.rollout.stage is RolloutStage.CANARY else Arm.SHADOW] = self.candidate
        if self.held_out is not None:
            found[Arm.HELD_OUT] = self.held_out.detector
        return found

    def arms_of(self, event: TranscriptEvent) -> list[Arm]:
        """Who judges an event: the first decides, and the others are on trial or only watch."""
        arms = [Arm.STABLE]
        if Arm.CANARY in self.detectors and self.rollout is not None:
            arms = [self.rollout.arm_of(event.tenant_id, event.conversation_id)]
        if Arm.SHADOW in self.detectors:
            arms.append(Arm.SHADOW)
        if self.held_out is not None and self.held_out.watches(event):
            arms.append(Arm.HELD_OUT)
        return arms

    def is_all_of(self, rollout: Rollout) -> bool:
        """Whether this is what `rollout` asks for."""
        return self.rollout == rollout and (self.candidate is None) == (rollout.candidate is None)


def assembled(
    rollout: Rollout, loaded: Mapping[str, Detector], before: Serving, held_out: HeldOut | None = None
) -> Serving:
    """As much of what `rollout` asks for as is loaded (by version).

    Where its stable version is not, the one before goes on, alone: of a candidate that nobody asks for any more nothing
    shall come. A detector that is held out stays out of what it is to watch.
    """
    if rollout.stable not in loaded:
        return Serving(before.stable, before.rollout, held_out=before.held_out)
    candidate = None if rollout.candidate is None else loaded.get(rollout.candidate)
    if held_out is not None and held_out.detector.version in (rollout.stable, rollout.candidate):
        held_out = None
    return Serving(loaded[rollout.stable], rollout, candidate, held_out)
