"""What the standing labels of a conversation agree on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from detectors.taxonomy import MISALIGNMENT
from retrain.datasets.example import Key
from retrain.datasets.policy import Reason
from retrain.queued import BULK, CONFIRMED, QueuedLabel


@dataclass(frozen=True, slots=True)
class Agreed:
    """`labels` say the same of one conversation, the latest last; `category` is what they say that it is.

    `others` are of the same conversation, and say something else.
    """

    labels: tuple[QueuedLabel, ...]
    others: tuple[QueuedLabel, ...]
    category: str

    @property
    def latest(self) -> QueuedLabel:
        return self.labels[-1]

    @property
    def key(self) -> Key:
        return self.latest.key

    @property
    def label_ids(self) -> tuple[str, ...]:
        return tuple(sorted(str(label.label_id) for label in self.labels))

    @property
    def messages(self) -> str | None:
        """The newest that were recorded."""
        recorded = [label.messages for label in (*self.others, *self.labels) if label.messages is not None]
        return recorded[-1] if recorded else None


@dataclass(frozen=True, slots=True)
class Consensus:
    """`kept`: conversations that stay held out as they are; of these `contested` would be decided otherwise by now."""

    agreed: tuple[Agreed, ...]
    kept: frozenset[Key]
    contested: int
    held_back: dict[str, Reason]


def consensus(labels: Iterable[QueuedLabel], held_out: Mapping[Key, frozenset[str]]) -> Consensus:
    """One decision for each conversation, where there is one. The order of `labels` does not matter.

    A reviewer has one vote, their latest; a decision for several cases at once has none where somebody has looked at
    this one. Most of the votes must be for confirming or for dismissing, and more for one category than for any other;
    who names none has no say in that. `held_out`: the labels of conversations that are held out. While these stand,
    whatever others say of the conversation has to wait.
    """
    held_back: dict[str, Reason] = {}
    agreed: list[Agreed] = []
    kept: set[Key] = set()
    contested = 0
    for given in _by_conversation(labels):
        votes = _latest_of_each(given)
        found = _agreed(votes)
        frozen = held_out.get(given[0].key, frozenset())
        _hold(held_back, [label for label in given if label not in votes], Reason.SUPERSEDED)
        if frozen and frozen <= {str(label.label_id) for label in votes}:
            kept.add(given[0].key)
            contested += found is None or not frozen <= set(found.label_ids)
            _hold(held_back, [label for label in votes if str(label.label_id) not in frozen], Reason.FROZEN)
        elif found is None:
            _hold(held_back, votes, Reason.DISAGREEMENT)
        else:
            _hold(held_back, found.others, Reason.AGAINST_CONSENSUS)
            agreed.append(found)
    return Consensus(tuple(agreed), frozenset(kept), contested, held_back)


def _by_conversation(labels: Iterable[QueuedLabel]) -> list[list[QueuedLabel]]:
    """Each label once, the earliest first. Where one id has two contents, which one counts hangs on these alone."""
    distinct: dict[str, QueuedLabel] = {}
    for label in labels:
        known = distinct.setdefault(str(label.label_id), label)
        if known != label:
            distinct[str(label.label_id)] = min(known, label, key=lambda each: each.model_dump_json())
    found: defaultdict[Key, list[QueuedLabel]] = defaultdict(list)
    for label in sorted(distinct.values(), key=lambda each: (each.labelled_at, str(each.label_id))):
        found[label.key].append(label)
    return [found[key] for key in sorted(found)]


def _latest_of_each(given: Sequence[QueuedLabel]) -> list[QueuedLabel]:
    latest = {label.reviewer: label for label in given}
    return [label for label in given if latest[label.reviewer] is label]


def _agreed(votes: Sequence[QueuedLabel]) -> Agreed | None:
    looked = [label for label in votes if label.source != BULK] or votes
    disposition, most = Counter(label.disposition for label in looked).most_common(1)[0]
    if 2 * most <= len(looked):
        return None
    side = [label for label in votes if label.disposition == disposition]
    category = _category([label for label in looked if label.disposition == disposition])
    if category is None:
        return None
    mine = tuple(label for label in side if disposition != CONFIRMED or label.category in (category, MISALIGNMENT))
    return Agreed(mine, tuple(label for label in votes if label not in mine), category)


def _category(side: Sequence[QueuedLabel]) -> str | None:
    """The category that most name; of dismissed ones that are even, the first by name: it hardly matters."""
    named = Counter(label.category for label in side if label.category != MISALIGNMENT)
    if not named:
        return MISALIGNMENT
    most = max(named.values())
    first = sorted(category for category, count in named.items() if count == most)
    return first[0] if len(first) == 1 or side[0].disposition != CONFIRMED else None


def _hold(held_back: dict[str, Reason], labels: Iterable[QueuedLabel], reason: Reason) -> None:
    held_back.update((str(label.label_id), reason) for label in labels)
