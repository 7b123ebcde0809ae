"""Whether the candidate's rate is larger than a linear function of the stable version's, by betting on conversations.

`Line(candidate=1, stable=-1.5, constant=-0.005)` stands for what is above 0 where the candidate's rate is more than 1.5
times the stable one's and 0.005 more. A conversation gains this much by what was seen of it, so that the mean gain is
the line at the true rates.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy.rollout.comparison import Pairs
from deploy.rollout.policy import Margin
from deploy.rollout.sequential import log_evidence_of_gain


@dataclass(frozen=True, slots=True)
class Line:
    """`candidate` and `stable` times their rates, and `constant`, together."""

    candidate: float
    stable: float
    constant: float

    def __neg__(self) -> Line:
        return Line(-self.candidate, -self.stable, -self.constant)

    def at(self, candidate: float, stable: float) -> float:
        return self.candidate * candidate + self.stable * stable + self.constant


def more_than(margin: Margin) -> Line:
    """Above 0 beyond the margin."""
    return Line(candidate=1.0, stable=-margin.times, constant=-margin.more)


@dataclass(frozen=True, slots=True)
class Arms:
    """How many conversations of each arm, and how many of them did what is counted."""

    candidate: int
    stable: int
    candidate_did: int
    stable_did: int


def paired_evidence(line: Line, pairs: Pairs) -> float:
    """Against "the line is at most 0", where both arms judged every conversation."""
    gains = (line.at(1, 1), line.at(1, 0), line.at(0, 1), line.at(0, 0))
    return float(log_evidence_of_gain(gains, (pairs.both, pairs.only_candidate, pairs.only_stable, pairs.neither)))


def split_evidence(line: Line, arms: Arms, share: float) -> float:
    """Against "the line is at most 0", where each conversation has gone to the candidate with probability `share`.

    What one in ten does stands for ten: a conversation's gain is divided by the chance of its arm. Where scorers did
    not change at the same moment, fewer or more than the share have come: it must hold by what came, too.
    """
    total = arms.candidate + arms.stable
    if share >= 1 or not 0 < arms.candidate < total:
        return 0.0
    counts = (arms.candidate_did, arms.stable_did, total - arms.candidate_did - arms.stable_did)
    shares = (share, arms.candidate / total)
    return float(min(log_evidence_of_gain(_gains(line, each), counts) for each in shares))


def _gains(line: Line, share: float) -> tuple[float, float, float]:
    """Of one that the candidate says it of, the stable version, or neither."""
    return (line.candidate / share + line.constant, line.stable / (1 - share) + line.constant, line.constant)
