"""Which flagged conversations are one case: an equal fingerprint first, resemblance where there is none.

A decision is taken on the conversation that somebody read. Putting another one into its case by mistake decides about
words that nobody saw, while a missed one costs ten seconds: the defaults are chosen by tests/bench/grouping.py for
hardly ever doing the former.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from alerting.severity import severity_of
from detectors.observation import distance, resemblance
from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Verdict
from services.triage.case import RANK

_SCHEME: Final = 1
"""Part of every fingerprint: one that is made otherwise never equals an older one."""
_WITHOUT_PROMPTS: Final = 0.85
"""What a cosine is worth alone: stock phrases ("I cannot help with that") are alike whatever was asked. By the defaults
that is never enough by itself, and with an equal fingerprint where the words are all but the same."""


class Basis(StrEnum):
    """Why a conversation is in a case."""

    FINGERPRINT = "fingerprint"
    SIMILARITY = "similarity"


@dataclass(frozen=True, slots=True)
class Profile:
    """What of a flagged conversation decides where it belongs. Nothing of its content can be read back."""

    tenant_id: str
    category: str
    agent: str | None
    fingerprint: str | None
    actions: str | None
    prompt: str | None


@dataclass(frozen=True, slots=True)
class CaseProfile:
    """`first` is the conversation that opened the case: were others compared with its latest, cases would wander."""

    first: Profile
    last_flagged_at: datetime
    conversations: int


def gravest(verdict: Verdict) -> str:
    """The flagged category that is most urgent, of equally urgent ones the most probable; the overall label where there
    is none.
    """
    named = [label for label in verdict.flagged if label != MISALIGNMENT]
    return min(named, key=lambda label: RANK[severity_of((label,))], default=MISALIGNMENT)


def profile(verdict: Verdict) -> Profile:
    """The profile of a flagged verdict."""
    observed = verdict.observed
    return Profile(
        tenant_id=verdict.tenant_id,
        category=gravest(verdict),
        agent=observed.agent.name or None if observed else None,
        fingerprint=fingerprint(verdict),
        actions=observed.actions if observed else None,
        prompt=observed.prompt if observed else None,
    )


def fingerprint(verdict: Verdict) -> str | None:
    """16 hex digits over tenant, category, agent, its tools and the shape of the evidence; None for unknown agents."""
    observed = verdict.observed
    if observed is None or not observed.agent.name:
        return None
    category = gravest(verdict)
    parts = [_SCHEME, verdict.tenant_id, category, observed.agent.name, sorted(observed.tools)]
    written = json.dumps([*parts, _shape(verdict, category, observed.messages)])
    return hashlib.blake2b(written.encode(), digest_size=8).hexdigest()


def _shape(verdict: Verdict, category: str, messages: int) -> list[int]:
    """Of the strongest evidence: which part of its message (0, 1, later), which third of the event, how long (powers
    of four). Messages of an event that goes on a conversation are counted from its start: all of them are its end."""
    for item in verdict.evidence:
        if item.category == category:
            third = min(2, 3 * item.message_index // max(messages, 1))
            return [min(item.part_index, 2), third, (item.end - item.start).bit_length() // 2]
    return []


def similarity(one: Profile, other: Profile) -> float | None:
    """0 to 1; None where one of them did nothing that can be compared.

    The geometric mean of the cosine of what the agents did and the resemblance of what they were asked.
    """
    if one.actions is None or other.actions is None:
        return None
    cosine = min(1.0, max(0.0, 1 - distance(one.actions, other.actions)))
    if one.prompt is None or other.prompt is None:
        return _WITHOUT_PROMPTS * cosine
    return math.sqrt(cosine * resemblance(one.prompt, other.prompt))


@dataclass(frozen=True, slots=True)
class Grouping:
    """When a conversation belongs to a case.

    `floor`: least similarity where fingerprints are equal; `high`: where they are not. `window`: how long after its
    last flag others may join a case, here over a weekend; `most_conversations`: how many it has at most.
    """

    floor: float = 0.84
    high: float = 0.86
    window: timedelta = timedelta(days=3)
    most_conversations: int = 25

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.high <= 1:
            raise ValueError("floor and high must be above 0, at most 1, and floor not above high")

    def matches(self, candidate: Profile, case: CaseProfile, now: datetime) -> Basis | None:
        """Why `candidate` belongs to `case`; None where it does not."""
        found = self._found(candidate, case, now)
        return found[0] if found else None

    def best(self, candidate: Profile, cases: Sequence[CaseProfile], now: datetime) -> int | None:
        """Position in `cases` of the one that `candidate` belongs to: by fingerprint, then the most similar."""
        found = [
            (match[0] is Basis.FINGERPRINT, match[1], -position)
            for position, case in enumerate(cases)
            if (match := self._found(candidate, case, now))
        ]
        return -max(found)[2] if found else None

    def alike(self, one: Profile, other: Profile) -> tuple[Basis, float] | None:
        """Why two conversations are one case, whenever they were, and how similar they are; None where they are not."""
        if (one.tenant_id, one.category, one.agent) != (other.tenant_id, other.category, other.agent):
            return None
        alike = similarity(one, other)
        if alike is None:
            return None
        if one.fingerprint is not None and one.fingerprint == other.fingerprint and alike >= self.floor:
            return Basis.FINGERPRINT, alike
        return (Basis.SIMILARITY, alike) if alike >= self.high else None

    def _found(self, candidate: Profile, case: CaseProfile, now: datetime) -> tuple[Basis, float] | None:
        if case.conversations >= self.most_conversations or now - case.last_flagged_at > self.window:
            return None
        return self.alike(candidate, case.first)
