"""How long one conversation takes: both bundles take turns on the same ones, so that a busy machine slows both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from retrain.dataset import CutConversation
from retrain.gate.policy import Policy
from retrain.gate.report import LatencyReport

Score = Callable[[CutConversation], object]
Clock = Callable[[], float]


def latency(
    champion: tuple[Score, Sequence[CutConversation]],
    candidate: tuple[Score, Sequence[CutConversation]],
    policy: Policy,
    *,
    clock: Clock,
) -> LatencyReport:
    """Each with the same conversations as it cuts them. Over the limit it is measured again, with as many rounds more.

    The first conversation is scored once beforehand, by both: a session's first run allocates.
    """
    contenders = (champion, candidate)
    for score, cut in contenders:
        score(cut[0])
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(2):
        for number in range(policy.latency_rounds):
            _round(contenders, taken, clock, turned=bool(number % 2))
        found = _report(taken, policy)
        if found.passed:
            break
    return found


def _round(
    contenders: Sequence[tuple[Score, Sequence[CutConversation]]],
    taken: Sequence[list[float]],
    clock: Clock,
    *,
    turned: bool,
) -> None:
    order = (1, 0) if turned else (0, 1)
    for place in range(len(contenders[0][1])):
        for which in order:
            score, cut = contenders[which]
            began = clock()
            score(cut[place])
            taken[which].append(clock() - began)


def _report(taken: tuple[list[float], list[float]], policy: Policy) -> LatencyReport:
    before, after = (median(each) for each in taken)
    ratio = after / max(before, 1e-9)
    return LatencyReport(
        champion_seconds=round(before, 6),
        candidate_seconds=round(after, 6),
        ratio=round(ratio, 4),
        limit=policy.latency_ratio,
        timings=len(taken[0]),
        passed=ratio <= policy.latency_ratio,
    )
