"""Steps that people take: each with a reason, audited, and once, however often the same request comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from deploy.rollout import steps
from deploy.rollout.errors import NotAllowedStep
from deploy.rollout.state import Rollout, Step
from services.rollout.errors import MovedMeanwhile, NoRolloutError, NotNowError
from services.rollout.journal import Journal
from services.rollout.revisions import Revisions


class Manual(StrEnum):
    """What people may do to a rollout."""

    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    PAUSE = "pause"
    RESUME = "resume"


class _Move(Protocol):
    def __call__(self, rollout: Rollout, *, actor: str, reason: str, at: datetime) -> Rollout: ...


_MOVES: Final[dict[Manual, _Move]] = {
    Manual.PROMOTE: steps.promote,
    Manual.ROLL_BACK: steps.roll_back,
    Manual.PAUSE: steps.pause,
    Manual.RESUME: steps.resume,
}
_STEPS: Final = {
    Manual.PROMOTE: Step.PROMOTED,
    Manual.ROLL_BACK: Step.ROLLED_BACK,
    Manual.PAUSE: Step.PAUSED,
    Manual.RESUME: Step.RESUMED,
}
_FEW: Final = 20
"""So far back the same request is known again."""


class Steering:
    """The registry decides who was first; what was moved is told of, at the latest by whoever looks next."""

    def __init__(self, revisions: Revisions, journal: Journal, clock: Callable[[], datetime]) -> None:
        self.revisions = revisions
        self._journal = journal
        self._clock = clock

    def take(self, manual: Manual, *, actor: str, reason: str, seen: int | None = None) -> Rollout:
        """The rollout after the step. `seen`: the revision that the person looked at; None: whichever it is.

        The same step again, by the same person with the same words, changes nothing. Raises `SteeringError`, and
        `TransientError` where registry or database are away: then the step may have been taken.
        """
        now = self._clock()
        current = self.revisions.newest()
        if current is None:
            raise NoRolloutError("nothing was rolled out yet")
        saw = current.revision if seen is None else seen
        try:
            if saw != current.revision:
                raise MovedMeanwhile("somebody else has moved the rollout since you looked: look again")
            following = self._moved(manual, actor, reason, now, current)
        except MovedMeanwhile:
            following = self._taken(manual, actor, reason, saw)
        self._journal.catch_up(now)
        return following

    def start(self, version: str, *, actor: str, reason: str) -> Rollout:
        """Sends a version on its way that somebody has published. Raises as `take` does."""
        now = self._clock()
        current = self.revisions.newest()
        if current is None:
            raise NoRolloutError("nothing was rolled out yet: the retrainer begins with the version that is configured")
        try:
            following = steps.start(current, version, actor=actor, reason=reason, at=now)
        except NotAllowedStep as error:
            raise NotNowError(str(error)) from error
        self.revisions.move(following)
        self._journal.catch_up(now)
        return following

    def _moved(self, manual: Manual, actor: str, reason: str, now: datetime, current: Rollout) -> Rollout:
        try:
            following = _MOVES[manual](current, actor=actor, reason=reason, at=now)
        except NotAllowedStep as error:
            raise NotNowError(str(error)) from error
        self.revisions.move(following)
        return following

    def _taken(self, manual: Manual, actor: str, reason: str, saw: int) -> Rollout:
        """What the same request did before. Raises `MovedMeanwhile` where something else was done."""
        same = (saw + 1, _STEPS[manual], actor, " ".join(reason.split()))
        for each in self.revisions.latest(_FEW):
            if (each.revision, each.step, each.actor, each.reason) == same:
                return each
        raise MovedMeanwhile("somebody else has moved the rollout since you looked: look again")
