"""The same conversation, confirmed here and dismissed there: who is to be believed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from retrain.datasets.candidate import Candidate
from retrain.datasets.policy import Policy


def flipped(candidates: Sequence[Candidate], copies: Sequence[int], policy: Policy) -> list[Candidate]:
    """Those that are not to be learnt from. `copies` [candidates] is the same for all but the same conversations."""
    groups: defaultdict[int, list[Candidate]] = defaultdict(list)
    for candidate, group in zip(candidates, copies, strict=True):
        groups[group].append(candidate)
    found = []
    for copied in groups.values():
        if len({each.example.confirmed for each in copied}) == 2:
            believed = _believed(copied, policy)
            found += [each for each in copied if each.example.confirmed is not believed]
    return found


def _believed(group: Sequence[Candidate], policy: Policy) -> bool | None:
    """The side that is clearly in the majority, True for confirmed; None where neither is."""
    sides = {side: _reviewers(each for each in group if each.example.confirmed is side) for side in (True, False)}
    votes = len(sides[True]) + len(sides[False])
    clear = [side for side, mine in sides.items() if len(mine) >= max(2, policy.clear * votes)]
    return clear[0] if clear else None


def _reviewers(side: Iterable[Candidate]) -> set[str]:
    return {reviewer for each in side for reviewer in each.example.reviewers}
