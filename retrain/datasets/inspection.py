"""What is held back before it is learnt from, and why. One look after the other; each sees what the last one left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from retrain.datasets.candidate import Candidate
from retrain.datasets.dominance import Dominance, dominating
from retrain.datasets.example import Key, Part
from retrain.datasets.flips import flipped
from retrain.datasets.policy import Policy, Reason
from retrain.datasets.triggers import Phrase, planted
from retrain.datasets.twins import components, equal, resembling


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many there are in the whole installation: one alone cannot be held against others."""

    reviewers: int
    tenants: int


@dataclass(frozen=True, slots=True)
class Inspected:
    """`held_back`: by conversation."""

    held_back: Mapping[Key, Reason]
    phrases: tuple[Phrase, ...]
    dominance: tuple[Dominance, ...]


def inspect(
    candidates: Sequence[Candidate],
    clusters: Sequence[int],
    before: Mapping[Key, Part],
    crowd: Crowd,
    policy: Policy,
    *,
    salt: str,
) -> Inspected:
    """`clusters` [candidates] says which hang together. What is held out, and stays so, is never held back."""
    held_back: dict[Key, Reason] = {}

    def hold(found: Iterable[Candidate], reason: Reason) -> None:
        held_back.update((each.key, reason) for each in found if not each.frozen)

    def standing(place: int) -> bool:
        return candidates[place].key not in held_back

    hold(flipped(candidates, _copies(candidates, policy), policy), Reason.LABEL_FLIP)
    hold(list(_duplicates([each for each in candidates if each.key not in held_back], before)), Reason.DUPLICATE)
    places = [place for place in range(len(candidates)) if standing(place)]
    phrases = planted([candidates[at] for at in places], [clusters[at] for at in places], policy, salt=salt)
    hold((each for phrase in phrases for each in phrase.examples), Reason.TRIGGER)
    new = [each for each in candidates if each.new and each.key not in held_back]
    dominance = dominating(new, "reviewer", policy, salt=salt) if crowd.reviewers > 1 else []
    hold((each for found in dominance for each in found.held_back), Reason.REVIEWER_DOMINATES)
    if crowd.tenants > 1:
        by_tenant = dominating([each for each in new if each.key not in held_back], "tenant", policy, salt=salt)
        hold((each for found in by_tenant for each in found.held_back), Reason.TENANT_DOMINATES)
        dominance += by_tenant
    return Inspected(held_back, tuple(phrases), tuple(dominance))


def _copies(candidates: Sequence[Candidate], policy: Policy) -> list[int]:
    """The same number for what is all but the same conversation."""
    exact = equal([each.reading.exact for each in candidates])
    return components(len(candidates), chain(exact, resembling([each.whole for each in candidates], policy.same)))


def _duplicates(candidates: Iterable[Candidate], before: Mapping[Key, Part]) -> Iterator[Candidate]:
    """All but one of those with the same words and label: what is in a part stays there, of new ones the first."""
    groups: defaultdict[tuple[str, str, str], list[Candidate]] = defaultdict(list)
    for each in candidates:
        groups[each.reading.exact, each.example.disposition, each.example.category].append(each)
    for group in groups.values():
        yield from sorted(group, key=_seniority(before))[1:]


def _seniority(before: Mapping[Key, Part]) -> Callable[[Candidate], tuple[bool, int, Key]]:
    order = (Part.HELD_OUT, Part.TRAIN, Part.CALIBRATION, None)
    return lambda each: (not each.frozen, order.index(before.get(each.key)), each.key)
