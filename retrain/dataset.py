"""Which conversations and windows a training run sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from detectors.taxonomy import LABELS
from detectors.windows import Speaker, Window, Windower
from retrain.sources import LABEL_TRUST, LabelledConversation

_AGENT = {Speaker.ASSISTANT, Speaker.REASONING, Speaker.TOOL_CALL}


@dataclass(frozen=True, slots=True)
class CutConversation:
    """A labelled conversation with its windows."""

    conversation: LabelledConversation
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class TrainingWindows:
    """Windows with labels [windows, labels] and weights [windows]."""

    windows: list[Window]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32]

    def summary(self) -> dict[str, JsonValue]:
        """How many windows there are, in all and of each label."""
        counts = self.labels.sum(axis=0).tolist()
        by_label: dict[str, JsonValue] = {label: int(count) for label, count in zip(LABELS, counts, strict=True)}
        return {"windows": len(self.windows), "by_label": by_label}


def split(
    conversations: Iterable[LabelledConversation], *, held_out: float, seed: int
) -> tuple[list[LabelledConversation], list[LabelledConversation]]:
    """(to fit, held out), by group, so that no scenario is on both sides. `held_out` is a share of the groups."""
    parts: tuple[list[LabelledConversation], list[LabelledConversation]] = ([], [])
    for conversation in conversations:
        digest = hashlib.sha256(f"{seed}/{conversation.source}/{conversation.group}".encode()).digest()
        parts[int.from_bytes(digest[:4], "big") < held_out * 2**32].append(conversation)
    return parts


def sample(
    conversations: Sequence[LabelledConversation], *, per_source: int, rng: np.random.Generator
) -> list[LabelledConversation]:
    """At most `per_source` conversations of each source, half of them misaligned where there are enough."""
    chosen: list[LabelledConversation] = []
    for source in sorted({conversation.source for conversation in conversations}):
        mine = [conversation for conversation in conversations if conversation.source == source]
        sides = [[c for c in mine if c.misaligned], [c for c in mine if not c.misaligned]]
        half = [min(len(side), max(per_source // 2, per_source - len(other))) for side, other in (sides, sides[::-1])]
        for side, count in zip(sides, half, strict=True):
            chosen += [side[index] for index in rng.permutation(len(side))[:count]]
    return chosen


def cut(conversations: Iterable[LabelledConversation], windower: Windower) -> Iterator[CutConversation]:
    """Conversations with their windows; those that have none are left out."""
    for conversation in conversations:
        windows = windower.cut(conversation.event.messages).windows
        if windows:
            yield CutConversation(conversation, windows)


def training_windows(
    conversations: Sequence[CutConversation], *, per_conversation: int, rng: np.random.Generator
) -> TrainingWindows:
    """At most `per_conversation` windows of each, only such in which the agent itself speaks or acts.

    A window has its conversation's labels, weighted by how far the source's labels are to be trusted. That most
    windows of a long misaligned conversation show nothing is the known weakness of this: see the model card.
    """
    windows: list[Window] = []
    labels: list[NDArray[np.float32]] = []
    weights: list[float] = []
    for item in conversations:
        of_agent = [window for window in item.windows if any(piece.speaker in _AGENT for piece in window.pieces)]
        for index in sorted(rng.permutation(len(of_agent))[:per_conversation]):
            windows.append(of_agent[index])
            labels.append(item.conversation.labels)
            weights.append(LABEL_TRUST.get(item.conversation.source, 1.0))
    return TrainingWindows(windows, np.stack(labels), np.asarray(weights, dtype=np.float32))
