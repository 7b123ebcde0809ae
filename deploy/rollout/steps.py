"""The steps of a rollout: each makes the next revision of the one before, or raises `NotAllowedStep`."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final

from deploy.rollout.errors import NotAllowedStep
from deploy.rollout.state import Rollout, RolloutStage, Step
from detectors.transcript import MAX_IDENTIFIER_CHARS

MAX_REASON_CHARS: Final = 2000


def start(rollout: Rollout, candidate: str, *, actor: str, reason: str, at: datetime) -> Rollout:
    """The candidate goes into the shadow stage."""
    if rollout.candidate is not None:
        raise NotAllowedStep(f"{rollout.candidate} is on its way already: promote it or roll it back first")
    if candidate == rollout.stable:
        raise NotAllowedStep(f"{candidate} is stable already")
    if not 0 < len(candidate) <= MAX_IDENTIFIER_CHARS or not candidate.isprintable():
        raise NotAllowedStep("this is no name of a version")
    changes = {"stage": RolloutStage.SHADOW, "candidate": candidate, "salt": _salt(rollout.revision + 1, candidate)}
    return _stage(rollout, Step.STARTED, actor, reason, at, **changes)


def advance(rollout: Rollout, share: float, *, actor: str, reason: str, at: datetime) -> Rollout:
    """From shadow to canary with this share of conversations, or to a larger share. The comparison starts anew."""
    if rollout.candidate is None:
        raise NotAllowedStep("no candidate is on its way")
    if not rollout.share < share <= 1:
        raise NotAllowedStep(f"the share must be over {rollout.share:g}, and 1 at most")
    return _stage(rollout, Step.ADVANCED, actor, reason, at, stage=RolloutStage.CANARY, share=share)


def promote(rollout: Rollout, *, actor: str, reason: str, at: datetime) -> Rollout:
    """The candidate, in whatever stage it is, becomes the stable version."""
    if rollout.candidate is None:
        raise NotAllowedStep("no candidate is on its way")
    versions = {"stable": rollout.candidate, "previous": rollout.stable}
    return _stage(rollout, Step.PROMOTED, actor, reason, at, **_STEADY, **versions)


def roll_back(rollout: Rollout, *, actor: str, reason: str, at: datetime) -> Rollout:
    """The candidate goes; where there is none, the version before the stable one becomes stable again.

    It is gone back once: what was left for being bad is never the previous version.
    """
    if rollout.candidate is not None:
        return _stage(rollout, Step.ROLLED_BACK, actor, reason, at, **_STEADY)
    if rollout.previous is None:
        raise NotAllowedStep("there is neither a candidate nor a previous version")
    versions = {"stable": rollout.previous, "previous": None}
    return _stage(rollout, Step.ROLLED_BACK, actor, reason, at, **_STEADY, **versions)


def pause(rollout: Rollout, *, actor: str, reason: str, at: datetime) -> Rollout:
    """The candidate stays where it is, until it is resumed. Shown harm still rolls it back."""
    if rollout.candidate is None or rollout.paused:
        raise NotAllowedStep("no candidate is on its way" if rollout.candidate is None else "it is paused already")
    return _next(rollout, Step.PAUSED, actor, reason, at, paused=True)


def resume(rollout: Rollout, *, actor: str, reason: str, at: datetime) -> Rollout:
    """The stage goes on, with what was counted so far; its limit of time begins anew."""
    if not rollout.paused:
        raise NotAllowedStep("it is not paused")
    return _next(rollout, Step.RESUMED, actor, reason, at, paused=False)


_STEADY: Final[dict[str, Any]] = {"stage": RolloutStage.STEADY, "candidate": None, "share": 0.0, "salt": ""}


def _stage(rollout: Rollout, step: Step, actor: str, reason: str, at: datetime, **changes: Any) -> Rollout:
    return _next(rollout, step, actor, reason, at, paused=False, stage_began_at=max(at, rollout.at), **changes)


def _next(rollout: Rollout, step: Step, actor: str, reason: str, at: datetime, **changes: Any) -> Rollout:
    """Clocks of several machines differ: time never goes back from one revision to the next."""
    made = {"revision": rollout.revision + 1, "step": step, "actor": _actor(actor), "reason": _reason(reason)}
    return Rollout.model_validate({**dict(rollout), **made, "at": max(at, rollout.at), **changes})


def _actor(actor: str) -> str:
    if not 0 < len(actor) <= MAX_IDENTIFIER_CHARS or not actor.isprintable():
        raise NotAllowedStep("it must be known who does this")
    return actor


def _reason(reason: str) -> str:
    stripped = " ".join(reason.split())
    if not 0 < len(stripped) <= MAX_REASON_CHARS or not stripped.isprintable():
        raise NotAllowedStep(f"a step needs a reason, of {MAX_REASON_CHARS} characters at most")
    return stripped


def _salt(revision: int, candidate: str) -> str:
    """Each attempt draws conversations of its own: nobody is the one who always gets what is new."""
    return hashlib.sha256(f"{revision}/{candidate}".encode()).hexdigest()[:32]
