"""Verdicts for people at a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from detectors.taxonomy import MISALIGNMENT
from detectors.transcript import TranscriptEvent, part_text
from detectors.verdict import Evidence, Verdict
from services.store import Coverage

_CONTEXT = 28


def verdict_table(verdicts: Iterable[Verdict], events: Mapping[str, TranscriptEvent]) -> Table:
    """Conversation, category, score and the words behind it, or only their place where `events` lacks the event id."""
    table = Table("conversation", "category", "score", "status", "evidence", show_lines=True)
    for verdict in verdicts:
        label = verdict.flagged[0] if verdict.flagged else MISALIGNMENT
        score = verdict.misalignment if label == MISALIGNMENT else verdict.scores.get(label)
        event = events.get(verdict.event_id)
        shown = [_evidence(item, event) for item in verdict.evidence if item.category == label]
        table.add_row(
            printable(verdict.conversation_id),
            printable(" ".join(verdict.flagged) or "–"),
            "–" if score is None else f"{score:.3f}",
            printable(verdict.status.value + (f": {verdict.reason}" if verdict.reason else "")),
            Text("\n").join(shown),
        )
    return table


def coverage_line(coverage: Coverage) -> str:
    """How many events ended how."""
    counts = ", ".join(f"{count} {status}" for status, count in sorted(coverage.by_status.items()))
    rest = f"{coverage.dead_lettered} dead-lettered; {coverage.flagged} flagged"
    return f"{coverage.events} events: {counts or 'none scored'}, {rest}"


def words(item: Evidence, event: TranscriptEvent) -> tuple[str, str, str] | None:
    """(before, the evidence itself, after); None where the event has no such place."""
    index = item.message_index - event.first_message
    if not 0 <= index < len(event.messages) or event.messages[index].id != item.message_id:
        return None
    parts = event.messages[index].parts
    if item.part_index >= len(parts):
        return None
    text = part_text(parts[item.part_index]) or ""
    before = text[max(0, item.start - _CONTEXT) : item.start]
    return before, text[item.start : item.end], text[item.end : item.end + _CONTEXT]


def printable(text: str) -> Text:
    """What others wrote is hostile input: no control characters reach the terminal, and no markup is obeyed."""
    return Text("".join(c if c.isprintable() else " " for c in re.sub(r"\s+", " ", text)))


def _evidence(item: Evidence, event: TranscriptEvent | None) -> Text:
    found = words(item, event) if event else None
    if found is None:
        return Text(f"message {item.message_index} part {item.part_index} [{item.start}:{item.end}]")
    before, itself, after = (printable(text) for text in found)
    return Text.assemble("…", before, Text.assemble("»", itself, "«", style="bold"), after, "…")
