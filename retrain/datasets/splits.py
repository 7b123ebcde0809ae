"""Which part each example comes into. Twins are never parted, and what was held out stays held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from retrain.datasets.candidate import Candidate, drawn
from retrain.datasets.example import Key, Part
from retrain.datasets.past import Past
from retrain.datasets.policy import Policy

Stratum = tuple[str, str]
"""Disposition and category."""
_MOST = 3  # a part takes at most one in three of a stratum: with few labels, too, most of them train


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


def divide(clusters: Iterable[Cluster], past: Past, policy: Policy, *, salt: str) -> Division:
    """Whole clusters to parts: where they were; new ones by lot."""
    parts: dict[Key, Part] = {}
    twins: list[Candidate] = []
    fresh: list[Cluster] = []
    lots = _Lots(policy, salt)
    for cluster in clusters:
        part = _part_of_old(cluster, past)
        if part is None:
            fresh.append(cluster)
            continue
        members = cluster.members
        if part is Part.HELD_OUT:
            members, left = _beside_held_out(cluster.members, past, policy, salt)
            twins += left
        parts |= {each.key: part for each in members}
        lots.take(part, Counter(map(_stratum, members)))
    chosen = lots.draw(fresh)
    for cluster in fresh:
        parts |= {each.key: chosen.get(cluster.name, Part.TRAIN) for each in cluster.members}
    return Division(parts, tuple(twins))


def _part_of_old(cluster: Cluster, past: Past) -> Part | None:
    """None where nothing of it was in a part. Held out wins, then training: what was trained on measures nothing."""
    were = {past.parts.get(key) for key in cluster.known} - {None}
    if Part.HELD_OUT in were:
        return Part.HELD_OUT
    if Part.TRAIN in were:
        return Part.TRAIN
    if Part.CALIBRATION in were:
        return Part.CALIBRATION
    return Part.TRAIN if cluster.known & past.seen else None


def _beside_held_out(
    members: Sequence[Candidate], past: Past, policy: Policy, salt: str
) -> tuple[tuple[Candidate, ...], tuple[Candidate, ...]]:
    """(held out, left out) of a cluster that is held out: what has been trained on cannot be, and of new ones few."""
    stay = {each for each in members if past.parts.get(each.key) is Part.HELD_OUT}
    new = [each for each in members if each not in stay and each.key not in past.seen]
    stay.update(sorted(new, key=lambda each: drawn(salt, *each.key))[: policy.most_held_out_twins])
    return tuple(each for each in members if each in stay), tuple(each for each in members if each not in stay)


@dataclass(frozen=True, slots=True)
class _Lot:
    """`value` is between 0 and 1, and hangs on the cluster alone."""

    value: float
    cluster: Cluster
    strata: Counter[Stratum]


class _Lots:
    """Draws parts for new clusters: by their lots, and as many more as a stratum lacks; training gets the rest.

    Even where the versions before are lost, most of what was held out is so again.
    """

    def __init__(self, policy: Policy, salt: str) -> None:
        self._policy = policy
        self._salt = salt
        self._filled: Counter[tuple[Part, Stratum]] = Counter()
        self._total: Counter[Stratum] = Counter()

    def take(self, part: Part, strata: Counter[Stratum]) -> None:
        """What is in a part already."""
        self._filled.update({(part, stratum): count for stratum, count in strata.items()})
        self._total.update(strata)

    def draw(self, clusters: Iterable[Cluster]) -> dict[str, Part]:
        """The parts of new clusters by name, those of training left out."""
        lots = [_Lot(drawn(self._salt, each.name) / 2**64, each, each.strata()) for each in clusters]
        lots.sort(key=lambda lot: (lot.value, lot.cluster.name))
        for lot in lots:
            self._total.update(lot.strata)
        policy, chosen = self._policy, dict[str, Part]()
        high = policy.held_out + (1 - policy.held_out) * policy.calibration
        self._draw_part(Part.HELD_OUT, 0.0, policy.held_out, policy.fewest_held_out, lots, chosen)
        self._draw_part(Part.CALIBRATION, policy.held_out, high, policy.fewest_calibration, lots, chosen)
        return chosen

    def _draw_part(
        self, part: Part, low: float, high: float, fewest: int, lots: Sequence[_Lot], chosen: dict[str, Part]
    ) -> None:
        """Lots from `low` to below `high`; then, the rarest stratum first, the least ones where there are too few."""
        for lot in lots:
            if low <= lot.value < high:
                self._choose(part, lot, chosen)
        for stratum in sorted(self._total, key=lambda each: (self._total[each], each)) if low < high else ():
            lacking = min(fewest, self._total[stratum] // _MOST)
            for lot in lots:
                if self._filled[part, stratum] >= lacking:
                    break
                if stratum in lot.strata:
                    self._choose(part, lot, chosen)

    def _choose(self, part: Part, lot: _Lot, chosen: dict[str, Part]) -> None:
        """Unless it has a part, or there would be more than a third of a stratum in this one."""
        fits = all(self._filled[part, each] + count <= self._total[each] // _MOST for each, count in lot.strata.items())
        if fits and lot.cluster.name not in chosen:
            chosen[lot.cluster.name] = part
            self._filled.update({(part, each): count for each, count in lot.strata.items()})


def _stratum(candidate: Candidate) -> Stratum:
    return candidate.example.disposition, candidate.example.category
