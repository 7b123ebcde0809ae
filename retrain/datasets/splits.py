"""Which part each example comes into. Twins are never parted, and what was held out stays held out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from retrain.datasets.candidate import Candidate, drawn
from retrain.datasets.example import Key, Part
from retrain.datasets.policy import Policy

Stratum = tuple[str, str]
"""Disposition and category."""


@dataclass(frozen=True, slots=True)
class Before:
    """Where conversations were in the version before. `seen`: those that any version has trained or calibrated on."""

    parts: Mapping[Key, Part] = field(default_factory=dict)
    seen: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class Division:
    """`parts` by conversation; `twins` of held-out ones are in none."""

    parts: Mapping[Key, Part]
    twins: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """`known`: everything that hangs together, what is held back included; `members` are those that come in."""

    name: str
    known: frozenset[Key]
    members: tuple[Candidate, ...]

    def strata(self) -> Counter[Stratum]:
        return Counter(_stratum(each) for each in self.members)


def divide(clusters: Iterable[Cluster], before: Before, policy: Policy, *, salt: str) -> Division:
    """Whole clusters to parts: where they were; new ones by lot, as many as are missing in each stratum."""
    parts: dict[Key, Part] = {}
    twins: list[Candidate] = []
    fresh: list[Cluster] = []
    lots = _Lots(policy)
    for cluster in clusters:
        part = _part_of_old(cluster, before)
        if part is None:
            fresh.append(cluster)
            continue
        members = cluster.members
        if part is Part.HELD_OUT:
            members, left = _beside_held_out(cluster.members, before, policy, salt)
            twins += left
        parts |= {each.key: part for each in members}
        lots.take(part, Counter(map(_stratum, members)))
    for cluster, part in lots.draw(sorted(fresh, key=lambda each: drawn(salt, each.name))):
        parts |= {each.key: part for each in cluster.members}
    return Division(parts, tuple(twins))


def _part_of_old(cluster: Cluster, before: Before) -> Part | None:
    """None where nothing of it was in a part. Held out wins, then training: what was trained on measures nothing."""
    were = {before.parts.get(key) for key in cluster.known} - {None}
    if Part.HELD_OUT in were:
        return Part.HELD_OUT
    if Part.TRAIN in were:
        return Part.TRAIN
    if Part.CALIBRATION in were:
        return Part.CALIBRATION
    return Part.TRAIN if cluster.known & before.seen else None


def _beside_held_out(
    members: Sequence[Candidate], before: Before, policy: Policy, salt: str
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
    """(held out, left out) of a cluster that is held out: what has been trained on cannot be, and of new ones few."""
    stay = {each for each in members if before.parts.get(each.key) is Part.HELD_OUT}
    new = [each for each in members if each not in stay and each.key not in before.seen]
    stay.update(sorted(new, key=lambda each: drawn(salt, *each.key))[: policy.most_held_out_twins])
    return tuple(each for each in members if each in stay), tuple(each for each in members if each not in stay)


class _Lots:
    """Draws parts for new clusters: held out and calibration get what they lack in each stratum, training the rest."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._filled: Counter[tuple[Part, Stratum]] = Counter()

    def take(self, part: Part, strata: Counter[Stratum]) -> None:
        """What is in a part already."""
        self._filled.update({(part, stratum): count for stratum, count in strata.items()})

    def draw(self, clusters: Sequence[Cluster]) -> Iterator[tuple[Cluster, Part]]:
        """A part for each of `clusters`, which are in the order in which they are drawn."""
        policy = self._policy
        left = [(cluster, cluster.strata()) for cluster in clusters]
        total = Counter(stratum for _, strata in left for stratum in strata.elements())
        total.update(Counter(stratum for (_, stratum), count in self._filled.items() for _ in range(count)))
        for part, share, fewest in (
            (Part.HELD_OUT, policy.held_out, policy.fewest_held_out),
            (Part.CALIBRATION, policy.calibration, policy.fewest_calibration),
        ):
            chosen = self._chosen(part, left, total, share, fewest)
            yield from ((cluster, part) for cluster, _ in left if cluster.name in chosen)
            left = [(cluster, strata) for cluster, strata in left if cluster.name not in chosen]
            total -= Counter({stratum: count for (mine, stratum), count in self._filled.items() if mine is part})
        yield from ((cluster, Part.TRAIN) for cluster, _ in left)

    def _chosen(
        self,
        part: Part,
        left: Sequence[tuple[Cluster, Counter[Stratum]]],
        total: Counter[Stratum],
        share: float,
        fewest: int,
    ) -> set[str]:
        """Names of clusters for `part`; the rarest stratum draws first. No part takes more than half of a stratum."""
        chosen: set[str] = set()
        for stratum in sorted(total, key=lambda each: (total[each], each)):
            wanted = min(max(math.ceil(share * total[stratum]), fewest), total[stratum] // 2) if share else 0
            for cluster, strata in left:
                if self._filled[part, stratum] >= wanted:
                    break
                fits = all(self._filled[part, each] + count <= total[each] // 2 for each, count in strata.items())
                if stratum in strata and cluster.name not in chosen and fits:
                    chosen.add(cluster.name)
                    self.take(part, strata)
        return chosen


def _stratum(candidate: Candidate) -> Stratum:
    return candidate.example.disposition, candidate.example.category
