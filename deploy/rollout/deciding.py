"""What the comparison of the arms comes to: the next revision of the rollout, or none yet.

1. Harm that is shown rolls the candidate back at once, paused or not: a p-value of at most `alpha`, shared equally
   among all that is watched in the stage.
2. With the stage's minimum of events and time, a candidate of which every doubt is ruled out goes on.
3. A candidate of which neither is shown by `patience` times the minimum of events, or by the limit of time, is decided
   by what was seen: within all margins it goes on, else it is rolled back. A small margin on rare flags can take more
   traffic to rule out than there is, and the candidate has passed the gate.
4. By the limit of time, without the minimum of events, it is rolled back: nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from deploy.rollout.comparison import Comparison
from deploy.rollout.policy import Policy
from deploy.rollout.state import SYSTEM, Rollout, RolloutStage
from deploy.rollout.steps import MAX_REASON_CHARS, advance, promote, roll_back
from deploy.rollout.watching import Finding, findings


def decide(rollout: Rollout, comparison: Comparison, policy: Policy, now: datetime) -> Rollout | None:
    """The next revision, whose reason says why in numbers, or None while nothing is to be done."""
    if rollout.candidate is None:
        return None
    found = findings(rollout, comparison, policy)
    harm = [each for each in found if each.harm <= policy.alpha / len(found)]
    if harm:
        return _back(rollout, _harmful(harm, policy, len(found)), now)
    if rollout.paused:
        return None
    seen = _seen(rollout, comparison, now)
    minimum, events = policy.minimum(rollout.stage), comparison.candidate.events
    # A pause is over with a revision of its own: the limit is counted from that.
    is_over = now - rollout.at >= policy.stage_limit
    if events < minimum.events:
        return _back(rollout, f"too little traffic to tell anything: {seen}", now) if is_over else None
    if now - rollout.stage_began_at < minimum.time:
        return None
    if all(each.doubt is None or each.doubt <= policy.doubt for each in found):
        return _on(rollout, policy, f"no harm: {seen}: {_words(found)}", now)
    if is_over or events >= policy.patience * minimum.events:
        return _by_what_was_seen(rollout, policy, found, seen, now)
    return None


def _by_what_was_seen(rollout: Rollout, policy: Policy, found: Iterable[Finding], seen: str, now: datetime) -> Rollout:
    beyond = [each for each in found if not each.is_within]
    if beyond:
        return _back(rollout, f"neither harm nor its absence could be shown: {seen}: {_words(beyond)}", now)
    return _on(rollout, policy, f"no harm was seen, though it cannot be ruled out: {seen}: {_words(found)}", now)


def _harmful(harm: Iterable[Finding], policy: Policy, watched: int) -> str:
    told = "; ".join(f"{each.words}, p = {each.harm:.2g}" for each in harm)
    return f"harm: {told}. Rolled back from p = {policy.alpha / watched:.2g} on"


def _seen(rollout: Rollout, comparison: Comparison, now: datetime) -> str:
    hours = (now - rollout.stage_began_at).total_seconds() / 3600
    return f"{comparison.candidate.events} events of the candidate in {hours:.1f} hours of {rollout.stage.value}"


def _words(found: Iterable[Finding]) -> str:
    return "; ".join(each.words for each in found)


def _on(rollout: Rollout, policy: Policy, reason: str, now: datetime) -> Rollout:
    if rollout.stage is RolloutStage.SHADOW:
        return advance(rollout, policy.canary_share, actor=SYSTEM, reason=reason[:MAX_REASON_CHARS], at=now)
    return promote(rollout, actor=SYSTEM, reason=reason[:MAX_REASON_CHARS], at=now)


def _back(rollout: Rollout, reason: str, now: datetime) -> Rollout:
    return roll_back(rollout, actor=SYSTEM, reason=reason[:MAX_REASON_CHARS], at=now)
