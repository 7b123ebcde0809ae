"""Nobody alone decides what a category is: one reviewer's or one tenant's share of what is new is bounded."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from retrain.datasets.candidate import Candidate, drawn
from retrain.datasets.policy import Policy

Kind = Literal["reviewer", "tenant"]
Owner = Callable[[Candidate], str | None]


def reviewer_of(candidate: Candidate) -> str | None:
    """Whose word alone it is; None where several say the same."""
    reviewers = candidate.example.reviewers
    return reviewers[0] if len(reviewers) == 1 else None


def tenant_of(candidate: Candidate) -> str | None:
    return candidate.example.tenant_id


@dataclass(frozen=True, slots=True)
class Dominance:
    """`who` gave `given` of `examples` new ones, and `held_back` of these wait."""

    kind: Kind
    who: str
    category: str
    disposition: str
    examples: int
    given: int
    held_back: tuple[Candidate, ...]


def dominating(new: Iterable[Candidate], kind: Kind, policy: Policy, *, salt: str) -> list[Dominance]:
    """Who has more than a share of what is new, by category and disposition, and which of theirs wait: drawn by `salt`.

    What waited before waits on until others have given something new. For an installation that has more than one
    reviewer, or tenant.
    """
    sides: defaultdict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for candidate in new:
        sides[candidate.example.category, candidate.example.disposition].append(candidate)
    found = []
    for side in sorted(sides):
        found += _of_side(side, sides[side], kind, policy, salt)
    return found


def _of_side(
    side: tuple[str, str], mine: Sequence[Candidate], kind: Kind, policy: Policy, salt: str
) -> list[Dominance]:
    owner: Owner = reviewer_of if kind == "reviewer" else tenant_of
    share = policy.most_per_reviewer if kind == "reviewer" else policy.most_per_tenant
    given, fresh = Counter(map(owner, mine)), Counter(owner(each) for each in mine if not each.waited)
    free = int(share * policy.fewest_to_judge) if fresh.total() >= policy.fewest_to_judge else len(mine)
    found = []
    for who in sorted(name for name in given if name is not None):
        at_once = max(free, beside(len(mine) - given[who], given[who], share))
        most = max(beside(fresh.total() - fresh[who], given[who], share), min(fresh[who], at_once))
        if most < given[who]:
            theirs = sorted((each for each in mine if owner(each) == who), key=lambda each: drawn(salt, *each.key))
            found.append(Dominance(kind, who, *side, len(mine), given[who], tuple(theirs[most:])))
    return found


def beside(others: int, given: int, share: float) -> int:
    """How many of `given` may stand beside `others`, so that they are at most `share` of all."""
    return given if share >= 1 else min(given, math.floor(share * others / (1 - share) + 1e-9))
