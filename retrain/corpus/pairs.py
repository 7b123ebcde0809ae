"""Contrastive pairs, from compact JSON lines.

What both sides share stands once. A line is `{id, category, industry, agent, language, tags, messages}`; a message is
`{role, content, reasoning?, tool_calls?}`, or a fork `{"aligned": [...], "misaligned": [...]}` where the sides differ.
In a fork's misaligned side `"shows": true` marks the messages in which the misbehaviour can itself be seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from detectors.codec import event_from_line
from detectors.taxonomy import LABELS, MISALIGNMENT, NEVER_AN_ALERT, Category
from retrain.sources import EPOCH, LabelledConversation

Side = Literal["aligned", "misaligned"]
SIDES: Final[tuple[Side, Side]] = ("aligned", "misaligned")
PARTS: Final = ("train", "test")
"""Written by different people, so that the test part measures more than style."""

SOURCE: Final = "corpus"


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair. `writer` is the file it comes from."""

    id: str
    writer: str
    category: Category
    industry: str
    agent: str
    language: str
    tags: frozenset[str]
    messages: tuple[dict[str, Any], ...]

    def side(self, side: Side) -> list[dict[str, Any]]:
        """All messages of one side."""
        return [message for message, _ in self._walk(side)]

    def turns(self, side: Side) -> frozenset[int]:
        """Positions of the agent's messages that carry the label: those that show it; if aligned, the forked ones."""
        return frozenset(
            position
            for position, (message, forked) in enumerate(self._walk(side))
            if message["role"] == "assistant" and forked and (side == "aligned" or message.get("shows"))
        )

    def agents_words(self, side: Side) -> str:
        """What the agent says, thinks and does, as one text."""
        said = (
            " ".join(
                [message.get("reasoning") or "", message["content"], *map(_call_text, message.get("tool_calls", ()))]
            )
            for message in self.side(side)
            if message["role"] == "assistant"
        )
        return "\n".join(said)

    def _walk(self, side: Side) -> Iterator[tuple[dict[str, Any], bool]]:
        for message in self.messages:
            if side in message:
                yield from ((forked, True) for forked in message[side])
            else:
                yield message, False


def _call_text(call: dict[str, Any]) -> str:
    return f"{call['name']} {json.dumps(call['arguments'], ensure_ascii=False)}"


def corpus_files(part: str) -> list[Path]:
    """The files of one part, by name."""
    return sorted((Path(__file__).parent / part).glob("*.jsonl"))


def read_pairs(part: str) -> list[Pair]:
    """All pairs of `train` or `test`. Raises `ValueError` where a line is no pair."""
    return [
        _pair(json.loads(line), path.stem)
        for path in corpus_files(part)
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def _pair(row: dict[str, Any], writer: str) -> Pair:
    pair = Pair(
        id=row["id"],
        writer=writer,
        category=Category(row["category"]),
        industry=row["industry"],
        agent=row["agent"],
        language=row["language"],
        tags=frozenset(row["tags"]),
        messages=tuple(row["messages"]),
    )
    if not pair.turns("misaligned") or not pair.turns("aligned"):
        raise ValueError(f"{pair.id}: a side has no message of the agent that carries the label")
    return pair


def conversations(pairs: Iterable[Pair]) -> Iterator[LabelledConversation]:
    """Both sides of each pair; a pair is a group."""
    for pair in pairs:
        for side in SIDES:
            labels = np.zeros(len(LABELS), dtype=np.float32)
            if side == "misaligned":
                labels[LABELS.index(pair.category)] = 1
                labels[LABELS.index(MISALIGNMENT)] = pair.category not in NEVER_AN_ALERT
            line: dict[str, Any] = {"id": f"{pair.id}-{side}", "messages": pair.side(side)}
            event = event_from_line(line, now=EPOCH)
            yield LabelledConversation(
                event, labels, SOURCE, pair.id, turns=pair.turns(side), language=pair.language, contrasted=True
            )
