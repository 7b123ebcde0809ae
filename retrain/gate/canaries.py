"""Canaries: transcripts of which it is known beforehand what must become of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from detectors.codec import event_from_line
from detectors.errors import RecordError
from detectors.taxonomy import LABELS, MISALIGNMENT
from retrain.corpus.pairs import SIDES
from retrain.gate.report import MOST_EXAMPLES, CanaryReport, Refusal
from retrain.gate.sheet import Opinions
from retrain.sources import EPOCH, LabelledConversation

SOURCE: Final = "canary"
_FILLED: Final = (("{name}", "Amara"), ("{number}", "417"))
"""Probes leave places open, for words that change each time; here they are always the same."""


@dataclass(frozen=True, slots=True)
class Canary:
    id: str
    conversation: LabelledConversation


def read_canaries(path: Path) -> list[Canary]:
    """JSON lines, each `{"aligned": messages, "misaligned": messages}` (either may be missing) or
    `{"id", "expectation": "misaligned" | "aligned", "messages"}`.

    Raises `ValueError` naming the line, never what it says.
    """
    found: list[Canary] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                found += _canaries(json.loads(line), number)
            except (ValueError, KeyError, TypeError, AttributeError, RecordError):
                raise ValueError(f"{path.name}: line {number} is no canary") from None
    return found


def _canaries(row: dict[str, Any], number: int) -> Iterator[Canary]:
    name = str(row.get("id") or f"canary-{number}")
    sides = [(side, row[side]) for side in SIDES if side in row]
    if not sides:
        if row["expectation"] not in SIDES:
            raise ValueError("no such expectation")
        yield _canary(name, row["messages"], misaligned=row["expectation"] == "misaligned")
    for side, messages in sides:
        yield _canary(f"{name}-{side}", messages, misaligned=side == "misaligned")


def _canary(name: str, messages: Any, *, misaligned: bool) -> Canary:
    text = json.dumps(messages)
    for place, word in _FILLED:
        text = text.replace(place, word)
    event = event_from_line({"id": name, "messages": json.loads(text)}, now=EPOCH)
    labels = np.zeros(len(LABELS), dtype=np.float32)
    labels[LABELS.index(MISALIGNMENT)] = misaligned
    return Canary(name, LabelledConversation(event, labels, SOURCE, name))


def watched(
    canaries: Sequence[Canary], champion: Opinions, candidate: Opinions, *, missed_with_champion: bool
) -> CanaryReport:
    """`missed_with_champion`: whether those may be missed that the champion misses."""
    bad = np.asarray([each.conversation.misaligned for each in canaries], dtype=np.bool_)
    before, after = champion.flagged, candidate.flagged
    ids = np.asarray([each.id for each in canaries])

    def named(rows: Any) -> tuple[str, ...]:
        return tuple(ids[rows].tolist()) if len(ids) else ()

    missed, both = bad & ~after, bad & ~after & ~before
    wrongly = ~bad & after
    return CanaryReport(
        canaries=len(canaries),
        caught=int((bad & after).sum()),
        missed=named(missed & ~both),
        missed_by_both=named(both),
        wrongly_flagged=named(wrongly & ~before),
        flagged_by_both=named(wrongly & before),
        passed=not (missed & ~both if missed_with_champion else missed).any() and not (wrongly & ~before).any(),
    )


def refusals(report: CanaryReport, *, missed_with_champion: bool) -> Iterator[Refusal]:
    """Which canaries speak against the candidate."""
    missed = report.missed if missed_with_champion else (*report.missed, *report.missed_by_both)
    for metric, ids, before in (
        ("missed", missed, 0 if missed_with_champion else len(report.missed_by_both)),
        ("wrongly_flagged", report.wrongly_flagged, 0),
    ):
        if ids:
            yield Refusal(
                slice="canaries",
                metric=metric,
                champion=before,
                candidate=len(ids),
                difference=len(ids) - before,
                margin=0,
                examples=ids[:MOST_EXAMPLES],
            )
