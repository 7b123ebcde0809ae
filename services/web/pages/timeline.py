"""The score over a conversation's verdicts, as a drawing: coordinates only, the template draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Verdict

WIDTH: Final = 600
HEIGHT: Final = 120
_EDGE: Final = 8


@dataclass(frozen=True, slots=True)
class Point:
    """One verdict: `x`, `y` in the drawing, y growing downwards."""

    x: float
    y: float
    score: float
    threshold: float | None
    flagged: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Timeline:
    """Scores of `label`, oldest first. `line` and `limit` are SVG paths; `limit` is empty without a threshold."""

    label: str
    points: tuple[Point, ...]
    line: str
    limit: str

    @property
    def highest(self) -> float:
        return max(point.score for point in self.points)


def timeline(verdicts: Sequence[Verdict], label: str) -> Timeline | None:
    """Of verdicts that scored `label`; None where none did."""
    scored = [
        (verdict, score)
        for verdict in sorted(verdicts, key=lambda each: (each.decided_at, each.verdict_id))
        if (score := score_of(verdict, label)) is not None
    ]
    if not scored:
        return None
    points = tuple(
        Point(
            x=_x(index, len(scored)),
            y=_y(score),
            score=score,
            threshold=verdict.thresholds.get(label),
            flagged=label in verdict.flagged,
            at=verdict.decided_at,
        )
        for index, (verdict, score) in enumerate(scored)
    )
    limits = [(point.x, _y(point.threshold)) for point in points if point.threshold is not None]
    if len(limits) == 1:
        limits = [(_EDGE, limits[0][1]), (WIDTH - _EDGE, limits[0][1])]
    return Timeline(label, points, _path([(point.x, point.y) for point in points]), _path(limits))


def score_of(verdict: Verdict, label: str) -> float | None:
    return verdict.misalignment if label == MISALIGNMENT else verdict.scores.get(label)


def _x(index: int, count: int) -> float:
    if count == 1:
        return WIDTH / 2
    return round(_EDGE + index * (WIDTH - 2 * _EDGE) / (count - 1), 1)


def _y(share: float) -> float:
    return round(HEIGHT - _EDGE - share * (HEIGHT - 2 * _EDGE), 1)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{'L' if index else 'M'}{x:g} {y:g}" for index, (x, y) in enumerate(places))
