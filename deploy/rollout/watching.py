"""What is watched in each stage, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from deploy.rollout.comparison import Comparison, Paired, Pairs, Tally, share
from deploy.rollout.policy import Margin, Policy
from deploy.rollout.rates import Arms, Line, more_than, paired_evidence, split_evidence
from deploy.rollout.sequential import (
    log_evidence_of_gain,
    log_evidence_of_larger_mean,
    log_evidence_of_less_precise,
    p_value,
)
from deploy.rollout.state import Rollout, RolloutStage

_FEWEST_TIMED: Final = 100
_FEWEST_LABELS: Final = 10
"""Below these, an estimate says nothing by itself."""


class Watched(StrEnum):
    """Harm that a candidate can do."""

    FLAGS_MORE = "flags_more"
    FLAGS_LESS = "flags_less"
    INCOMPLETE = "incomplete"
    SLOWER = "slower"
    DISAGREES = "disagrees"  # in the shadow stage
    MISSES = "misses"  # what people confirmed, in the shadow stage
    LESS_PRECISE = "less_precise"  # in the canary stage


@dataclass(frozen=True, slots=True)
class Finding:
    """Two p-values that hold at any time: `harm` against "no worse than the margin", `doubt` against "at the margin or
    worse". No `doubt`: there will never be enough to tell, it is enough that no harm shows. `is_within` the margin is
    what was seen, tested or not.
    """

    what: Watched
    harm: float
    doubt: float | None
    is_within: bool
    words: str


def findings(rollout: Rollout, comparison: Comparison, policy: Policy) -> tuple[Finding, ...]:
    """All that is watched in the rollout's stage, whether or not anything is known of it yet."""
    stable, candidate = comparison.stable, comparison.candidate
    if rollout.stage is RolloutStage.SHADOW:
        paired = comparison.paired or Paired()
        said, evidence_of = _in_pairs(paired.flagged), _by_pairs(paired.flagged)
        failed, failures_of = _in_pairs(paired.incomplete), _by_pairs(paired.incomplete)
        alone: tuple[Finding, ...] = (_disagrees(paired.flagged, policy), _misses(paired, policy))
    else:
        said = Arms(candidate.conversations, stable.conversations, candidate.flagged, stable.flagged)
        failed = Arms(candidate.conversations, stable.conversations, candidate.incomplete, stable.incomplete)
        evidence_of, failures_of = _by_split(said, rollout.share), _by_split(failed, rollout.share)
        alone = (_less_precise(stable, candidate, policy),)
    return (
        _more(Watched.FLAGS_MORE, "flags", said, policy.flagged, evidence_of),
        _flags_less(said, policy, evidence_of),
        _more(Watched.INCOMPLETE, "fails to judge all of", failed, policy.incomplete, failures_of),
        _slower(stable, candidate, policy),
        *alone,
    )


_Evidence = Callable[[Line], float]


def _in_pairs(pairs: Pairs) -> Arms:
    return Arms(pairs.judged, pairs.judged, pairs.both + pairs.only_candidate, pairs.both + pairs.only_stable)


def _by_pairs(pairs: Pairs) -> _Evidence:
    return lambda line: paired_evidence(line, pairs)


def _by_split(arms: Arms, of_all: float) -> _Evidence:
    return lambda line: split_evidence(line, arms, of_all)


def _more(what: Watched, verb: str, arms: Arms, margin: Margin, evidence: _Evidence) -> Finding:
    line = more_than(margin)
    limit = f"limit {margin.times:g} times as many and {margin.more:.1%} more"
    return Finding(
        what,
        harm=p_value(evidence(line)),
        doubt=p_value(evidence(-line)),
        is_within=_is_within(line, arms),
        words=f"{_rates(verb, arms)} ({limit})",
    )


def _flags_less(arms: Arms, policy: Policy, evidence: _Evidence) -> Finding:
    line = Line(candidate=-1.0, stable=1 / policy.quiet_times, constant=-policy.quiet_more)
    limit = f"limit one in {policy.quiet_times:g} and {policy.quiet_more:.1%} less"
    harm = p_value(evidence(line))
    return Finding(Watched.FLAGS_LESS, harm, None, _is_within(line, arms), f"{_rates('flags', arms)} ({limit})")


def _is_within(line: Line, arms: Arms) -> bool:
    """Of nothing, nothing is said."""
    candidate, stable = share(arms.candidate_did, arms.candidate), share(arms.stable_did, arms.stable)
    return candidate is None or stable is None or line.at(candidate, stable) <= 0


def _rates(verb: str, arms: Arms) -> str:
    mine = f"{_percent(arms.candidate_did, arms.candidate)} of {arms.candidate} conversations"
    return f"{verb} {mine}, the stable version {_percent(arms.stable_did, arms.stable)} of {arms.stable}"


def _slower(stable: Tally, candidate: Tally, policy: Policy) -> Finding:
    limit = f"limit {policy.slower_times:g} times as much"
    mine, theirs = candidate.seconds_per_event, stable.seconds_per_event
    if not mine or not theirs or min(candidate.timed, stable.timed) < _FEWEST_TIMED:
        return Finding(Watched.SLOWER, 1.0, None, is_within=True, words=f"too few events were timed ({limit})")
    difference = mine - policy.slower_times * theirs
    variance = policy.events_per_batch * (_variance(candidate) + policy.slower_times**2 * _variance(stable))
    return Finding(
        Watched.SLOWER,
        harm=p_value(log_evidence_of_larger_mean(difference, variance, scale=theirs / 2)),
        doubt=p_value(log_evidence_of_larger_mean(-difference, variance, scale=theirs / 2)),
        is_within=difference <= 0,
        words=f"takes {mine * 1000:.3g} ms for an event, the stable version {theirs * 1000:.3g} ms ({limit})",
    )


def _variance(tally: Tally) -> float:
    """Of the mean. Equal times would have none at all: a clock is not as good as that."""
    mean = tally.seconds / tally.timed
    return max(tally.seconds_squared / tally.timed - mean**2, (mean / 100) ** 2) / tally.timed


def _disagrees(pairs: Pairs, policy: Policy) -> Finding:
    parts = (pairs.judged - pairs.agreed, pairs.agreed)
    words = f"judges {_percent(parts[0], pairs.judged)} of {pairs.judged} conversations differently"
    return _share_above(Watched.DISAGREES, parts, policy.disagreement, words, fewest=_FEWEST_TIMED)


def _misses(paired: Paired, policy: Policy) -> Finding:
    parts = (paired.missed, paired.confirmed - paired.missed)
    words = f"does not flag {paired.missed} of {paired.confirmed} that people confirmed"
    return _share_above(Watched.MISSES, parts, policy.missed, words, fewest=_FEWEST_LABELS)


def _share_above(what: Watched, parts: tuple[int, int], most: float, words: str, *, fewest: int) -> Finding:
    harm = p_value(float(log_evidence_of_gain((1 - most, -most), parts)))
    is_within = sum(parts) < fewest or parts[0] <= most * sum(parts)
    return Finding(what, harm, None, is_within, f"{words} (limit {most:.0%})")


def _less_precise(stable: Tally, candidate: Tally, policy: Policy) -> Finding:
    theirs, mine = (stable.confirmed, stable.dismissed), (candidate.confirmed, candidate.dismissed)
    harm = log_evidence_of_less_precise(stable=theirs, candidate=mine, lost=policy.less_precise)
    words = f"people confirmed {mine[0]} of {sum(mine)}, of the stable version's {theirs[0]} of {sum(theirs)}"
    return Finding(
        Watched.LESS_PRECISE,
        harm=p_value(harm),
        doubt=None,
        is_within=min(sum(mine), sum(theirs)) < _FEWEST_LABELS
        or mine[0] / sum(mine) >= theirs[0] / sum(theirs) - policy.less_precise,
        words=f"{words} (limit {policy.less_precise:.0%} less)",
    )


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "none"
