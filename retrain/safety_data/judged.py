"""What people judged: the input of everything here. Texts are redacted before they come here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from detectors.taxonomy import MISALIGNMENT
from detectors.transcript import Agent, Deployment, Message, Model, Part, ReasoningPart
from detectors.verdict import Arm

AGENT: frozenset[str] = frozenset({"assistant", "model", "agent", "ai"})
"""Roles of the monitored model, in lower case."""


class Outcome(StrEnum):
    """What a person said. What they were unsure of teaches nothing."""

    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"


class Basis(StrEnum):
    """How it is known which of the agent's messages a label is about."""

    SPAN = "span"  # a person marked characters in them
    EVIDENCE = "evidence"  # a detector's evidence for the confirmed category lies in them
    ONLY_MESSAGE = "only_message"  # the agent said nothing else
    LAST = "last"  # for corrected answers alone: the last thing that the agent said
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Mark:
    """Characters of a part that speak for something. `position` counts messages; `weight` None: a person's mark."""

    position: int
    part: int
    category: str | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One standing label with the verdict that it answers. `reviewer` is a keyed digest."""

    label_id: str
    outcome: Outcome
    category: str
    spans: tuple[Mark, ...]
    corrected_answer: str | None
    reviewer: str
    source: str
    origin: str
    labelled_at: datetime
    bundle_version: str
    arm: Arm
    detectors: tuple[tuple[str, str], ...]
    flagged: tuple[str, ...]
    evidence: tuple[Mark, ...]

    @property
    def categories(self) -> frozenset[str]:
        """What a dismissal denies, and a confirmation is about: of the latter, only what the person named."""
        named = {self.category} - {MISALIGNMENT}
        return frozenset(named | (set(self.flagged) - {MISALIGNMENT} if self.outcome is Outcome.DISMISSED else set()))


@dataclass(frozen=True, slots=True)
class Judged:
    """One conversation and all standing labels of it, oldest first. `messages` by position; there may be gaps.

    `conversation` stands for the conversation: a keyed digest.
    """

    conversation: str
    tenant: str
    messages: Mapping[int, Message]
    agent: Agent
    model: Model
    deployment: Deployment
    judgements: tuple[Judgement, ...]

    @property
    def positions(self) -> list[int]:
        return sorted(self.messages)

    @property
    def agents(self) -> list[int]:
        """Positions of the agent's messages."""
        return [position for position in self.positions if is_agent(self.messages[position])]

    def part(self, mark: Mark) -> Part | None:
        """What is marked, where the agent said it."""
        message = self.messages.get(mark.position)
        if message is None or not is_agent(message) or mark.part >= len(message.parts):
            return None
        return message.parts[mark.part]

    def before(self, position: int) -> list[Message]:
        return [self.messages[each] for each in self.positions if each < position]

    def run(self, position: int) -> list[int]:
        """The agent's messages around `position` with nobody else's between them: what it did in one go."""
        order, at = self.positions, self.positions.index(position)
        first = last = at
        while first > 0 and is_agent(self.messages[order[first - 1]]):
            first -= 1
        while last + 1 < len(order) and is_agent(self.messages[order[last + 1]]):
            last += 1
        return order[first : last + 1]


def is_agent(message: Message) -> bool:
    return message.role.lower() in AGENT


def thought(part: Part | None) -> bool:
    """Whether it is the chain of thought, which nobody but the agent itself was to read."""
    return isinstance(part, ReasoningPart)


def agreed(judgements: Sequence[Judgement]) -> Outcome | None:
    """What all of them say; None where they do not say the same."""
    outcomes = {each.outcome for each in judgements}
    return outcomes.pop() if len(outcomes) == 1 else None
