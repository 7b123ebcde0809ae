"""Which conversations are nearly the same.

Resemblance is the Jaccard similarity of shingles of three words, estimated by MinHash (Broder, 1997), give or take
0.04; pairs are found by locality-sensitive hashing, and those of one kind by comparing all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from retrain.datasets.reading import Words, runs

HASHES: Final = 128
_SHINGLE: Final = 3
_FEWEST_WORDS: Final = 8
"""Less ("done", "yes please") resembles too much to mean anything."""
_BANDS: Final = ((0.45, 2), (0.75, 3), (1.1, 5))
"""Rows of a band for resemblances below: at 0.6 one pair in 20,000 is missed, at 0.3 one in 400."""
_COPY: Final = 0.97
_EMPTY: Final = MinHash(num_perm=HASHES, hashfunc=int, seed=1)

Signature = NDArray[np.uint32]
Pair = tuple[int, int]


def signature(words: Words) -> Signature | None:
    """MinHash [HASHES] of shingles of three words; None for less than eight words."""
    if len(words) < _FEWEST_WORDS:
        return None
    shingles = runs(words, _SHINGLE) >> np.uint64(32)
    sketch = _EMPTY.copy()
    sketch.update_batch(shingles.tolist())
    return np.asarray(sketch.hashvalues, dtype=np.uint32)


def resembling(signatures: Sequence[Signature | None], least: float) -> Iterator[Pair]:
    """Pairs of positions that resemble by `least` or more, enough of them to lead from each to every other.

    What is all but the same as an earlier one is compared with nothing later: copies by the thousand cost no more
    than one.
    """
    rows = next(rows for below, rows in _BANDS if least < below)
    index = MinHashLSH(num_perm=HASHES, params=(HASHES // rows, rows))
    known = _stacked(signatures)
    for place, mine in enumerate(signatures):
        if mine is None:
            continue
        sketch = MinHash(hashvalues=mine, permutations=_EMPTY.permutations, hashfunc=int, scheme=_EMPTY.scheme, seed=1)
        near = np.asarray(sorted(index.query(sketch)), dtype=np.intp)
        alike = (known[near] == mine).mean(axis=1)
        yield from ((int(other), place) for other in near[alike >= least])
        if not (alike >= _COPY).any():
            index.insert(place, sketch)


def resembling_of_kind(
    signatures: Sequence[Signature | None], kinds: Sequence[str | None], least: float
) -> Iterator[Pair]:
    """Pairs of one kind that resemble by `least` or more. What has no kind is in no pair."""
    groups: defaultdict[str, list[int]] = defaultdict(list)
    for place, kind in enumerate(kinds):
        if kind is not None and signatures[place] is not None:
            groups[kind].append(place)
    for places in groups.values():
        known = _stacked([signatures[place] for place in places])
        for at, place in enumerate(places):
            alike = (known[:at] == known[at]).mean(axis=1)
            yield from ((places[other], place) for other in np.flatnonzero(alike >= least))


def _stacked(signatures: Sequence[Signature | None]) -> Signature:
    """[signatures, HASHES]; zeros where there is none."""
    return np.asarray([np.zeros(HASHES) if each is None else each for each in signatures], dtype=np.uint32).reshape(
        -1, HASHES
    )


def equal(keys: Sequence[object]) -> Iterator[Pair]:
    """Each position with the first that has the same key. None is equal to nothing."""
    first: dict[object, int] = {}
    for place, key in enumerate(keys):
        if key is not None and first.setdefault(key, place) != place:
            yield first[key], place


def components(count: int, pairs: Iterable[Pair]) -> list[int]:
    """For each of `count` positions the smallest one that pairs lead to: the same for all of one cluster."""
    root = list(range(count))

    def found(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for one, other in pairs:
        first, second = sorted((found(one), found(other)))
        root[second] = first
    return [found(place) for place in range(count)]
