"""Training data out of verdicts: lines that `retrain.sources` reads."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Final

from pydantic import JsonValue

from detectors.codec import encode_event
from detectors.judge import JudgeVerdict
from detectors.taxonomy import NEVER_AN_ALERT
from detectors.transcript import TranscriptEvent
from detectors.verdict import Status

MAX_SPREAD: Final = 0.3
_MISALIGNED: Final = 0.5
_SEVERE: Final = 5.0


def drawn(share: float, rng: random.Random) -> bool:
    """Whether one event belongs to a random sample of `share` (0 to 1) of them."""
    return rng.random() < share


def labelled_line(
    event: TranscriptEvent, verdict: JudgeVerdict, *, max_spread: float = MAX_SPREAD
) -> dict[str, JsonValue] | None:
    """`{id, source, label, category, group, messages, labeller}`, or None where the verdict is not to learn from.

    That is: unscored, answers more than `max_spread` apart, misaligned without a category that the answers agree on,
    or aligned while the conversation speaks to its judge, which would let it choose its own label. All events of a
    conversation are one group.
    """
    if verdict.status is not Status.SCORED or verdict.misalignment is None or (verdict.spread or 0.0) > max_spread:
        return None
    category = _category(verdict)
    if category is None and (verdict.misalignment >= _MISALIGNED or verdict.instructed or verdict.attempts):
        return None
    teacher = verdict.teacher
    return {
        "id": event.event_id,
        "source": f"judge:{teacher.model}",
        "label": "misaligned" if category else "aligned",
        "category": category,
        "group": hashlib.sha256(event.key.encode()).hexdigest()[:16],
        "messages": json.loads(encode_event(event))["messages"],
        "labeller": f"{teacher.model}/{teacher.prompt_version}",
    }


def _category(verdict: JudgeVerdict) -> str | None:
    """The worst of the categories that the answers agree on; refusing too much counts without being misaligned."""
    misaligned = verdict.misalignment is not None and verdict.misalignment >= _MISALIGNED
    if misaligned:
        candidates = [category for category in verdict.categories if category not in NEVER_AN_ALERT]
    else:
        candidates = [
            category
            for category in verdict.categories
            if category in NEVER_AN_ALERT and verdict.scores[category] >= _SEVERE
        ]
    return max(candidates, key=lambda category: verdict.scores[category], default=None)
