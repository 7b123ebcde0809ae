"""Nobody alone decides what a category is: one reviewer's or one tenant's share of what is new is bounded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from retrain.datasets.candidate import Candidate, drawn
from retrain.datasets.policy import Policy

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

    kind: Literal["reviewer", "tenant"]
    who: str
    category: str
    disposition: str
    examples: int
    given: int
    held_back: tuple[Candidate, ...]


def dominating(
    new: Iterable[Candidate], kind: Literal["reviewer", "tenant"], policy: Policy, *, salt: str
) -> list[Dominance]:
    """Who has more than a share of what is new, by category and disposition, and which of theirs wait: drawn by `salt`.

    For an installation that has more than one reviewer, or tenant.
    """
    sides: defaultdict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for candidate in new:
        sides[candidate.example.category, candidate.example.disposition].append(candidate)
    found = []
    for side in sorted(sides):
        if len(sides[side]) >= policy.fewest_to_judge:
            found += _of_side(side, sides[side], kind, policy, salt)
    return found


def _of_side(
    side: tuple[str, str], mine: Sequence[Candidate], kind: Literal["reviewer", "tenant"], policy: Policy, salt: str
) -> list[Dominance]:
    owner: Owner = reviewer_of if kind == "reviewer" else tenant_of
    share = policy.most_per_reviewer if kind == "reviewer" else policy.most_per_tenant
    given = Counter(owner(each) for each in mine)
    found = []
    for who in sorted(name for name in given if name is not None):
        most = allowed(given[who], len(mine), share, policy.fewest_to_judge)
        if most < given[who]:
            theirs = sorted((each for each in mine if owner(each) == who), key=lambda each: drawn(salt, *each.key))
            found.append(Dominance(kind, who, *side, len(mine), given[who], tuple(theirs[most:])))
    return found


def allowed(given: int, examples: int, share: float, fewest: int) -> int:
    """How many of `given` may stay, so that they are at most `share` of those that are left of `examples`."""
    others = examples - given
    beside_others = given if share >= 1 else int(share * others / (1 - share) + 1e-9)
    return min(given, max(beside_others, int(share * fewest)))
