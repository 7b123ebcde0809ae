"""How long one conversation takes: both bundles take turns on the same ones, and the fastest time of each one counts.

What else a machine does makes a run slower, never faster: the least of several comes nearest to what a bundle itself
takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from retrain.dataset import CutConversation
from retrain.gate.policy import Policy
from retrain.gate.report import LatencyReport

Score = Callable[[CutConversation], object]
Clock = Callable[[], float]
Contender = tuple[Score, Sequence[CutConversation]]
Seconds = NDArray[np.float64]


def latency(champion: Contender, candidate: Contender, policy: Policy, *, clock: Clock) -> LatencyReport:
    """Each with the same conversations as it cuts them. While it is over the limit it is measured again.

    The first conversation is scored once beforehand, by both: a session's first run allocates.
    """
    contenders = (champion, candidate)
    for score, cut in contenders:
        score(cut[0])
    rounds: list[Seconds] = []
    for _ in range(policy.latency_attempts):
        for _ in range(policy.latency_rounds):
            rounds.append(_round(contenders, clock, turned=bool(len(rounds) % 2)))
        found = _report(rounds, policy)
        if found.passed:
            break
    return found


def _round(contenders: Sequence[Contender], clock: Clock, *, turned: bool) -> Seconds:
    """[contenders, conversations]."""
    order = (1, 0) if turned else (0, 1)
    taken = np.empty((2, len(contenders[0][1])))
    for place in range(taken.shape[1]):
        for which in order:
            score, cut = contenders[which]
            began = clock()
            score(cut[place])
            taken[which, place] = clock() - began
    return taken


def _report(rounds: Sequence[Seconds], policy: Policy) -> LatencyReport:
    before, after = np.min(rounds, axis=0).mean(axis=1).tolist()
    ratio = after / max(before, 1e-9)
    return LatencyReport(
        champion_seconds=round(before, 6),
        candidate_seconds=round(after, 6),
        ratio=round(ratio, 4),
        limit=policy.latency_ratio,
        timings=sum(each.shape[1] for each in rounds),
        passed=ratio <= policy.latency_ratio,
    )
