"""Which of the agent's messages a label is about, and how much of the blame each has.

A person's marks come first and count 1. Without any, a detector's evidence for the confirmed category: messages share
the blame by the weight of the evidence in them, the heaviest has 1. Without that, the only message of the agent. Marks
in the chain of thought blame nobody unless asked for: a model that is punished for what it thinks learns to hide it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from detectors.taxonomy import MISALIGNMENT
from retrain.safety_data.judged import Basis, Judged, Judgement, Mark, thought

DIGITS: Final = 6
"""Of every share: the same number for all readers. No blame is rounded to 0, which would say that there is none."""


@dataclass(frozen=True, slots=True)
class Blame:
    """`shares` by position of the message, over 0 and at most 1. `thoughts_alone`: all marks are in reasoning."""

    basis: Basis
    shares: dict[int, float] = field(default_factory=dict)
    thoughts_alone: bool = False


def blame(judged: Judged, judgement: Judgement, *, penalise_reasoning: bool) -> Blame:
    """Whom a confirmed label is about, as far as that is known."""
    for basis, marks in ((Basis.SPAN, judgement.spans), (Basis.EVIDENCE, evidence_of(judgement))):
        marked = [mark for mark in marks if judged.part(mark) is not None]
        acts = [mark for mark in marked if penalise_reasoning or not thought(judged.part(mark))]
        if marked:
            return Blame(basis, _shares(acts), thoughts_alone=not acts)
    if len(judged.agents) == 1:
        alone = not penalise_reasoning and all(thought(part) for part in judged.messages[judged.agents[0]].parts)
        return Blame(Basis.ONLY_MESSAGE, {} if alone else {judged.agents[0]: 1.0}, thoughts_alone=alone)
    return Blame(Basis.UNKNOWN)


def evidence_of(judgement: Judgement) -> tuple[Mark, ...]:
    """What speaks for the label's category; where nothing does, what speaks for misalignment at all."""
    speaks = [mark for mark in judgement.evidence if mark.weight is not None and mark.weight > 0]
    own = tuple(mark for mark in speaks if mark.category == judgement.category)
    return own or tuple(mark for mark in speaks if mark.category == MISALIGNMENT)


def corrected_at(judged: Judged, judgement: Judgement) -> tuple[int, Basis] | None:
    """The message that a corrected answer stands in for: the first that a person marked; else the one with the most
    evidence, in thoughts or acts; else the last of the agent's. None where the agent says nothing.
    """
    spans = [mark.position for mark in judgement.spans if judged.part(mark) is not None]
    if spans:
        return min(spans), Basis.SPAN
    weights = _shares([mark for mark in evidence_of(judgement) if judged.part(mark) is not None])
    if weights:
        return max(weights, key=lambda position: (weights[position], -position)), Basis.EVIDENCE
    if not judged.agents:
        return None
    return judged.agents[-1], Basis.ONLY_MESSAGE if len(judged.agents) == 1 else Basis.LAST


def _shares(marks: Sequence[Mark]) -> dict[int, float]:
    weights: dict[int, float] = defaultdict(float)
    for mark in marks:
        weights[mark.position] += 1.0 if mark.weight is None else mark.weight
    people = all(mark.weight is None for mark in marks)
    most = max(weights.values(), default=1.0)
    shares = {position: 1.0 if people else weight / most for position, weight in sorted(weights.items())}
    return {position: max(round(share, DIGITS), 10**-DIGITS) for position, share in shares.items()}
