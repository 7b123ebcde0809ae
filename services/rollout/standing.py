"""How a rollout stands, for people: the arms side by side, what is watched, and what it still takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deploy.rollout.comparison import Comparison, Tally
from deploy.rollout.policy import Policy
from deploy.rollout.state import Rollout, RolloutStage
from deploy.rollout.watching import Finding, findings
from detectors.verdict import Arm
from services.triage.estimates import Estimate, wilson
from services.triage.estimates import Tally as Share


@dataclass(frozen=True, slots=True)
class ArmStands:
    """One arm since the stage began. Shares are of its conversations, `confirmed` of those that it flagged and people
    decided on, each with its 95 % interval; None of nothing.
    """

    arm: Arm
    version: str
    events: int
    conversations: int
    flagged: Estimate | None
    incomplete: Estimate | None
    confirmed: Estimate | None
    seconds_per_event: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """`agreed` of conversations that both judged, in the shadow stage. `events_needed` of the candidate, and `until`:
    what the stage takes at least; `ends_at`: by then it is decided. `alpha`: a p-value of harm at most so small rolls
    back.
    """

    arms: tuple[ArmStands, ArmStands]
    agreed: Estimate | None
    findings: Sequence[Finding]
    alpha: float
    doubt: float
    events_needed: int
    until: datetime
    ends_at: datetime
    counted_at: datetime


def compared(rollout: Rollout, comparison: Comparison, policy: Policy, now: datetime) -> Compared:
    """Of a rollout that has a candidate on its way."""
    if rollout.candidate is None:
        raise ValueError("no candidate is on its way")
    found = findings(rollout, comparison, policy)
    arm = Arm.CANARY if rollout.stage is RolloutStage.CANARY else Arm.SHADOW
    pairs = comparison.paired.flagged if comparison.paired else None
    minimum = policy.minimum(rollout.stage)
    return Compared(
        arms=(
            _arm(Arm.STABLE, rollout.stable, comparison.stable),
            _arm(arm, rollout.candidate, comparison.candidate),
        ),
        agreed=wilson(Share(pairs.agreed, pairs.judged)) if pairs else None,
        findings=found,
        alpha=policy.alpha / len(found),
        doubt=policy.doubt,
        events_needed=minimum.events,
        until=rollout.stage_began_at + minimum.time,
        ends_at=rollout.at + policy.stage_limit,
        counted_at=now,
    )


def _arm(arm: Arm, version: str, tally: Tally) -> ArmStands:
    return ArmStands(
        arm=arm,
        version=version,
        events=tally.events,
        conversations=tally.conversations,
        flagged=wilson(Share(tally.flagged, tally.conversations)),
        incomplete=wilson(Share(tally.incomplete, tally.conversations)),
        confirmed=wilson(Share(tally.confirmed, tally.confirmed + tally.dismissed)),
        seconds_per_event=tally.seconds_per_event,
    )


def remaining(of: Compared, now: datetime) -> tuple[int, timedelta]:
    """(events, time) that the stage takes at least from now on."""
    return max(0, of.events_needed - of.arms[1].events), max(timedelta(0), of.until - now)
