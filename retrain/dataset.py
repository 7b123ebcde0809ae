"""Which conversations and windows a training run sees, how they hang together, and what each weighs."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from detectors.taxonomy import LABELS
from detectors.transcript import Message, ReasoningPart, TranscriptEvent
from detectors.windows import AGENT, Window, Windower
from retrain.known_sources import expected_of_sources
from retrain.sources import LabelledConversation, label_trust, read_source, source_files

_FEWEST_HELD_OUT = 9
"""Pairs of a category, where there are twice as many: fewer could not be calibrated on."""
_LENGTH_BINS = 4
_LIGHTEST, _HEAVIEST = 0.25, 4.0


@dataclass(frozen=True, slots=True)
class CutConversation:
    """A labelled conversation with its windows."""

    conversation: LabelledConversation
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Bag:
    """Windows that share a label: at least one of them shows it (multi-instance learning), or none does.

    `expected` [LABELS]: log-odds of each label for who knows the bag's source alone; zeros where it is not told.
    """

    windows: tuple[Window, ...]
    labels: NDArray[np.float32]
    weight: float
    expected: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Unit:
    """What a training step must see together: one bag, or the two of a contrastive pair, the misaligned one first."""

    bags: tuple[Bag, ...]

    @property
    def contrasted(self) -> bool:
        return len(self.bags) == 2

    @property
    def windows(self) -> int:
        return sum(len(bag.windows) for bag in self.bags)


def summary(units: Sequence[Unit]) -> dict[str, JsonValue]:
    """How many windows and bags there are, and how many bags of each label."""
    bags = [bag for unit in units for bag in unit.bags]
    windows = sum(unit.windows for unit in units)
    return {"windows": windows, "bags": len(bags), "by_label": by_label([bag.labels for bag in bags])}


def by_label(labels: Sequence[NDArray[np.float32]]) -> dict[str, JsonValue]:
    """How many there are of each label, from rows [LABELS]."""
    counts = np.sum(labels, axis=0).tolist()
    return {label: int(count) for label, count in zip(LABELS, counts, strict=True)}


def split(
    conversations: Iterable[LabelledConversation], *, held_out: float, seed: int
) -> tuple[list[LabelledConversation], list[LabelledConversation]]:
    """(to fit, held out), by group, so that no scenario is on both sides. `held_out` is a share of the groups.

    Contrastive pairs are few: the share is held out of each category by itself.
    """
    everything = list(conversations)

    def drawn(conversation: LabelledConversation) -> int:
        digest = hashlib.sha256(f"{seed}/{conversation.source}/{conversation.group}".encode()).digest()
        return int.from_bytes(digest[:4], "big")

    kept_back: set[str] = set()
    positives = [each for each in everything if each.contrasted and each.labels.any()]
    for column in range(len(LABELS)):
        mine = sorted((each for each in positives if int(np.argmax(each.labels)) == column), key=drawn)
        count = max(math.ceil(held_out * len(mine)), min(_FEWEST_HELD_OUT, len(mine) // 2)) if held_out else 0
        kept_back |= {each.group for each in mine[:count]}
    parts: tuple[list[LabelledConversation], list[LabelledConversation]] = ([], [])
    for each in everything:
        parts[each.group in kept_back if each.contrasted else drawn(each) < held_out * 2**32].append(each)
    return parts


def set_aside(
    conversations: Sequence[LabelledConversation], share: float, *, seed: int
) -> tuple[list[LabelledConversation], list[LabelledConversation]]:
    """(the others, about a `share` of the groups), drawn by name: for saying when to stop, not for calibration."""
    parts: tuple[list[LabelledConversation], list[LabelledConversation]] = ([], [])
    for each in conversations:
        digest = hashlib.sha256(f"{seed}/{each.source}/{each.group}/aside".encode()).digest()
        parts[int.from_bytes(digest[:4], "big") < share * 2**32].append(each)
    return parts


def sample(
    conversations: Sequence[LabelledConversation], *, per_source: int, rng: np.random.Generator
) -> list[LabelledConversation]:
    """At most `per_source` conversations of each source, half of them misaligned where there are enough.

    Contrastive pairs are all taken.
    """
    chosen = [conversation for conversation in conversations if conversation.contrasted]
    for source in sorted({conversation.source for conversation in conversations}):
        mine = [c for c in conversations if c.source == source and not c.contrasted]
        sides = [[c for c in mine if c.misaligned], [c for c in mine if not c.misaligned]]
        half = [min(len(side), max(per_source // 2, per_source - len(other))) for side, other in (sides, sides[::-1])]
        for side, count in zip(sides, half, strict=True):
            chosen += [side[index] for index in rng.permutation(len(side))[:count]]
    return chosen


def sample_sources(folder: Path, *, per_source: int, rng: np.random.Generator) -> dict[str, list[LabelledConversation]]:
    """`sample` of each source whose file is in `folder`, by name."""
    return {
        path.name.split(".")[0]: sample(list(read_source(path)), per_source=per_source, rng=rng)
        for path in source_files(folder)
    }


def cut(conversations: Iterable[LabelledConversation], windower: Windower) -> Iterator[CutConversation]:
    """Conversations with their windows; those that have none are left out."""
    for conversation in conversations:
        windows = windower.cut(conversation.event.messages).windows
        if windows:
            yield CutConversation(conversation, windows)


@dataclass(frozen=True, slots=True)
class Dropout:
    """How often a conversation is shown without what one kind of speaker says: nothing should hang on one alone."""

    context: float = 0.15
    reasoning: float = 0.2

    def __call__(self, event: TranscriptEvent, rng: np.random.Generator) -> TranscriptEvent:
        """`event`, less the parts that chance takes away. Message positions stay as they are."""
        roles = sorted({message.role for message in event.messages} - {"assistant"})
        dropped = {role for role in roles if rng.random() < self.context}
        silent = rng.random() < self.reasoning
        messages = tuple(
            _without_parts(message) if message.role in dropped else _without_reasoning(message) if silent else message
            for message in event.messages
        )
        return event.model_copy(update={"messages": messages})


def _without_parts(message: Message) -> Message:
    return message.model_copy(update={"parts": ()})


def _without_reasoning(message: Message) -> Message:
    spoken = tuple(part for part in message.parts if not isinstance(part, ReasoningPart))
    return message.model_copy(update={"parts": spoken}) if spoken else message


def training_units(
    conversations: Sequence[LabelledConversation],
    windower: Windower,
    *,
    per_bag: int,
    dropout: Dropout,
    rng: np.random.Generator,
    sources_known: bool = False,
) -> list[Unit]:
    """Bags of at most `per_bag` windows each. Where it is known which turns a label is about, of these alone.

    `sources_known`: bags tell what their sources let expect of them.
    """
    weights = balanced_weights(conversations)
    expected = expected_of_sources(conversations) if sources_known else {}
    nothing = np.zeros(len(LABELS), dtype=np.float32)
    bags: list[tuple[LabelledConversation, Bag]] = []
    twins: dict[tuple[str, int], list[tuple[LabelledConversation, Bag]]] = {}
    shown_before: Counter[str] = Counter()  # a pair may come several times, and each time it is a pair of its own
    for conversation, weight in zip(conversations, weights, strict=True):
        occurrence = shown_before[conversation.event.event_id]
        shown_before[conversation.event.event_id] += 1
        shown = replace(conversation, event=dropout(conversation.event, rng))
        for item in cut([shown], windower):
            windows = about(item)
            drawn = sorted(rng.permutation(len(windows))[:per_bag].tolist())
            of_source = expected.get(conversation.source, nothing)
            bag = Bag(tuple(windows[index] for index in drawn), conversation.labels, weight, of_source)
            if conversation.contrasted:
                twins.setdefault((conversation.group, occurrence), []).append((conversation, bag))
            else:
                bags.append((conversation, bag))
    paired = [
        Unit(tuple(bag for _, bag in sorted(pair, key=lambda item: -item[0].labels.sum()))) for pair in twins.values()
    ]
    return [*paired, *(Unit((bag,)) for _, bag in bags)]


def about(item: CutConversation) -> tuple[Window, ...]:
    """The windows in which the agent's labelled turns are; all of them where the turns are not known."""
    turns = item.conversation.turns
    if turns is None:
        return item.windows
    told = tuple(
        window
        for window in item.windows
        if any(piece.message_index in turns and piece.speaker in AGENT for piece in window.pieces)
    )
    return told or item.windows


def balanced_weights(conversations: Sequence[LabelledConversation]) -> list[float]:
    """What each conversation weighs: trust in its source's labels, times what evens out length within the source.

    Conversations of a source are put into bins by the number of characters; in each bin the aligned ones weigh as much
    as the misaligned ones, as far as the limits on a single weight allow. Length then tells nothing about the label.
    Pairs are even by construction, and a source with one label cannot be evened.
    """
    lengths = np.asarray([_characters(conversation.event) for conversation in conversations])
    bins = np.zeros(len(conversations), dtype=int)
    sources = np.asarray([conversation.source for conversation in conversations])
    for source in np.unique(sources):
        mine = sources == source
        edges = np.quantile(lengths[mine], np.linspace(0, 1, _LENGTH_BINS + 1)[1:-1])
        bins[mine] = np.searchsorted(edges, lengths[mine])
    cells = [(c.source, int(b), c.misaligned) for c, b in zip(conversations, bins, strict=True)]
    counts = Counter(cells)
    weights = []
    for (source, length_bin, misaligned), conversation in zip(cells, conversations, strict=True):
        mine, others = counts[source, length_bin, misaligned], counts[source, length_bin, not misaligned]
        even = 1.0 if conversation.contrasted or not others else (mine + others) / (2 * mine)
        weights.append(label_trust(source) * min(_HEAVIEST, max(_LIGHTEST, even)))
    return weights


def _characters(event: TranscriptEvent) -> int:
    return sum(len(part.model_dump_json()) for message in event.messages for part in message.parts)
