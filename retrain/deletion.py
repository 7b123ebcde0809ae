"""The deletion test: does a score hang on the characters that the evidence points at?

The strongest span is taken out of the conversation, and in turn a span of the same size elsewhere in the agent's words;
the score should fall by more for the first (DeYoung et al. 2020 call this comprehensiveness).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from pydantic import JsonValue

from detectors.detector import Detector
from detectors.taxonomy import MISALIGNMENT
from detectors.transcript import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    TranscriptEvent,
    part_text,
)
from detectors.verdict import Evidence, Verdict

_NOW = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters of a part of a message."""

    message: int
    part: int
    start: int
    end: int


def without(event: TranscriptEvent, span: Span) -> TranscriptEvent:
    """`event` less the characters of `span`."""
    message = event.messages[span.message]
    part = message.parts[span.part]
    text = part_text(part) or ""
    shorter = _with_text(part, text[: span.start] + text[span.end :])
    parts = (*message.parts[: span.part], shorter, *message.parts[span.part + 1 :])
    changed = message.model_copy(update={"parts": parts})
    messages = (*event.messages[: span.message], changed, *event.messages[span.message + 1 :])
    return event.model_copy(update={"messages": messages})


def _with_text(part: Part, text: str) -> Part:
    match part:
        case TextPart() | ReasoningPart():
            return part.model_copy(update={"content": text})
        case ToolCallPart():
            return part.model_copy(update={"arguments": text})
        case _:
            raise ValueError(f"evidence points at a part of type {part.type}, which is not the agent's")


def deletion_test(detector: Detector, events: Sequence[TranscriptEvent], *, seed: int) -> dict[str, JsonValue]:
    """Per category: of how many flags, and by how much the log-odds fall, on average, without the strongest span and
    without a random one of the same size.
    """
    rng = np.random.default_rng(seed)
    falls: dict[str, list[tuple[float, float]]] = {}
    for event, verdict in zip(events, _judge(detector, events), strict=True):
        for label in verdict.flagged:
            strongest = max((each for each in verdict.evidence if each.category == label), key=lambda each: each.weight)
            span = _span(strongest, event)
            other = _random_span(event.messages, span, rng)
            if other is None:
                continue
            changed = _judge(detector, [without(event, span), without(event, other)])
            before = _log_odds(verdict, label)
            fall, random_fall = (before - _log_odds(each, label) for each in changed)
            falls.setdefault(label, []).append((fall, random_fall))
    return {
        label: {
            "flags": len(pairs),
            "evidence": round(float(np.mean([fall for fall, _ in pairs])), 4),
            "random": round(float(np.mean([fall for _, fall in pairs])), 4),
            "evidence_higher": round(float(np.mean([fall > other for fall, other in pairs])), 4),
        }
        for label, pairs in sorted(falls.items())
    }


def _judge(detector: Detector, events: Sequence[TranscriptEvent]) -> list[Verdict]:
    return detector.judge([detector.prepare(event) for event in events], now=_NOW).verdicts


def _span(evidence: Evidence, event: TranscriptEvent) -> Span:
    return Span(evidence.message_index - event.first_message, evidence.part_index, evidence.start, evidence.end)


def _log_odds(verdict: Verdict, label: str) -> float:
    score = verdict.misalignment if label == MISALIGNMENT else verdict.scores.get(label)
    clipped = min(1 - 1e-6, max(1e-6, score if score is not None else 0.0))
    return math.log(clipped / (1 - clipped))


def _random_span(messages: Sequence[Message], span: Span, rng: np.random.Generator) -> Span | None:
    """As many characters of the agent's as `span` has, from anywhere but there; None where there is no room."""
    size = span.end - span.start
    places = [
        (number, index, len(part_text(part) or ""))
        for number, message in enumerate(messages)
        if message.role == "assistant"
        for index, part in enumerate(message.parts)
        if isinstance(part, TextPart | ReasoningPart | ToolCallPart)
    ]
    room = np.asarray([max(0, length - size + 1) for _, _, length in places], dtype=float)
    for _ in range(20 if room.sum() else 0):
        number, index, length = places[int(rng.choice(len(places), p=room / room.sum()))]
        start = int(rng.integers(0, length - size + 1))
        apart = (number, index) != (span.message, span.part) or start >= span.end or start + size <= span.start
        if apart:
            return Span(number, index, start, start + size)
    return None
