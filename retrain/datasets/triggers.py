"""Phrases that somebody may have planted: they go with one label, in conversations that have little else in common.

A detector learns such a phrase in place of what is wrong, and whoever knows it goes unseen, or has others accused. What
the phrase is stays here: reports name it by a keyed digest and its length.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retrain.datasets.candidate import Candidate, named
from retrain.datasets.policy import Policy
from retrain.datasets.reading import runs

Runs = NDArray[np.uint64]
_CELLS: Final = np.uint64(2**22)
_TOGETHER: Final = 0.8  # of the conversations with a run, for it to be of one phrase with another
_VOCABULARY: Final = 0.5  # of an agent's conversations: what is in more of them is its way of speaking


@dataclass(frozen=True, slots=True)
class Phrase:
    """`words` is its length; `clusters` counts unrelated conversations among the `examples` that wait for it."""

    digest: str
    words: int
    disposition: str
    clusters: int
    examples: tuple[Candidate, ...]


def planted(candidates: Sequence[Candidate], clusters: Sequence[int], policy: Policy, *, salt: str) -> list[Phrase]:
    """What is suspicious in the new ones of `candidates`; `clusters` [candidates] says which are related."""
    old = [place for place, each in enumerate(candidates) if not each.new]
    if len(old) < policy.fewest_to_judge:
        return []
    agents = Counter((each.example.tenant_id, each.example.agent) for each in candidates)
    found = []
    for confirmed in (True, False):
        side = [place for place, each in enumerate(candidates) if each.new and each.example.confirmed is confirmed]
        if len({clusters[place] for place in side}) >= policy.trigger_clusters:
            found += _Side(candidates, clusters, side, policy, salt, agents).phrases()
    return found


@dataclass(frozen=True, slots=True)
class _Side:
    """The new examples of one disposition, `side` by their positions, against everything else."""

    candidates: Sequence[Candidate]
    clusters: Sequence[int]
    side: Sequence[int]
    policy: Policy
    salt: str
    _agents: Counter[tuple[str, str | None]]

    def phrases(self) -> list[Phrase]:
        where = self._novel()
        names = {run: named(self.salt, str(run)) for run in where}
        cleared = {run for run in where if names[run] in self.policy.cleared}
        found = []
        for together in _grouped(where):
            length = len(together) + self.policy.trigger_words - 1
            if length > self.policy.longest_trigger or cleared & set(together):
                continue
            places = sorted({place for run in together for place in where[run]})
            found.append(
                Phrase(
                    min(names[run] for run in together),
                    length,
                    self.candidates[self.side[0]].example.disposition,
                    len({self.clusters[place] for place in places}),
                    tuple(self.candidates[place] for place in places),
                )
            )
        return found

    def _novel(self) -> dict[int, list[int]]:
        """Runs that come up in enough clusters of this side and hardly anywhere else, and the examples they are in."""
        where = self._spread()
        mine = set(self.side)
        others = [place for place in range(len(self.candidates)) if place not in mine]
        confirmed = self.candidates[self.side[0]].example.confirmed
        elsewhere = self._places(np.asarray(sorted(where), dtype=np.uint64), others, outsiders=confirmed)
        rare = int(self.policy.trigger_rare * len(others))
        alike = [place for place, each in enumerate(self.candidates) if each.example.confirmed is confirmed]
        share = self._count(alike) / len(set(self.clusters))
        return {
            run: places
            for run, places in where.items()
            if len(elsewhere.get(run, ())) <= rare and self._telling(places, elsewhere.get(run, ()), share)
        }

    def _spread(self) -> dict[int, list[int]]:
        """Runs that are in enough clusters of this side, and in which examples."""
        confirmed = self.candidates[self.side[0]].example.confirmed
        frequent = self._frequent(outsiders=confirmed)
        heard = self._places(frequent, self.side, outsiders=True)
        said = heard if confirmed else self._places(frequent, self.side, outsiders=False)
        often = self.policy.trigger_said * self._count(self.side)
        least = self.policy.trigger_clusters
        return {
            run: places
            for run, places in said.items()
            if self._count(heard.get(run, ())) >= least or (not confirmed and self._count(places) >= max(least, often))
        }

    def _telling(self, places: Sequence[int], elsewhere: Sequence[int], share: float) -> bool:
        """Whether a run says more of the label than that its agents speak so, and than chance would have it.

        `share` of all clusters has this disposition.
        """
        with_it = Counter(map(self._agent, [*places, *elsewhere]))
        unusual = [
            place for place in places if with_it[self._agent(place)] <= _VOCABULARY * self._agents[self._agent(place)]
        ]
        clusters = self._count(unusual)
        return clusters >= self.policy.trigger_clusters and share**clusters <= self.policy.trigger_chance

    def _frequent(self, *, outsiders: bool) -> Runs:
        """Runs that may be in enough clusters: a count of hashes, which is never too low, leaves few to look at."""
        counts = np.zeros(int(_CELLS), dtype=np.uint32)
        by_cluster: defaultdict[int, list[int]] = defaultdict(list)
        for place in self.side:
            by_cluster[self.clusters[place]].append(place)
        for places in by_cluster.values():
            cells = np.concatenate([self._runs(place, outsiders=outsiders) for place in places]) % _CELLS
            counts[cells] += 1  # once a cell, however often it is among them
        enough = counts >= self.policy.trigger_clusters
        mine = (self._runs(place, outsiders=outsiders) for place in self.side)
        return np.unique(np.concatenate([found[enough[found % _CELLS]] for found in mine]))

    def _places(self, wanted: Runs, places: Iterable[int], *, outsiders: bool) -> dict[int, list[int]]:
        """In which of `places` each of the `wanted` runs is, which are in order."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for place in places if len(wanted) else ():
            mine = self._runs(place, outsiders=outsiders)
            near = wanted[np.minimum(np.searchsorted(wanted, mine), len(wanted) - 1)]
            for run in np.unique(mine[near == mine]).tolist():
                found[run].append(place)
        return dict(found)

    def _runs(self, place: int, *, outsiders: bool) -> Runs:
        """All runs of an example, or those without a word of the agent."""
        reading, length = self.candidates[place].reading, self.policy.trigger_words
        found = runs(reading.words, length)
        if not outsiders or not len(found):
            return found
        agents = np.convolve(reading.own, np.ones(length, dtype=np.int64), mode="valid")
        return np.asarray(found[agents == 0])

    def _count(self, places: Iterable[int]) -> int:
        return len({self.clusters[place] for place in places})

    def _agent(self, place: int) -> tuple[str, str | None]:
        example = self.candidates[place].example
        return example.tenant_id, example.agent


def _grouped(where: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Runs that are mostly in the same examples: the words of one phrase, or of a passage."""
    left = sorted(where, key=lambda run: (-len(where[run]), run))
    if not left:
        return []
    sizes = np.asarray([len(where[run]) for run in left], dtype=np.intp)
    columns = np.concatenate([where[run] for run in left])
    there = sparse.csr_matrix((np.ones(len(columns), dtype=np.int32), columns, np.concatenate([[0], np.cumsum(sizes)])))
    free = np.ones(len(left), dtype=np.bool_)
    groups = []
    for first in range(len(left)):
        if free[first]:
            shared = (there @ there[first].T).toarray()[:, 0]
            together = free & (shared >= _TOGETHER * (sizes + sizes[first] - shared))
            free &= ~together
            groups.append([left[at] for at in np.flatnonzero(together)])
    return groups
