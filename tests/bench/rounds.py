"""Throughput: end to end, ceiling and the afternoon's consumer, one after the other, several times over.

A machine's speed drifts, most of all a shared one's. Each ratio is taken within a round, whose parts are a minute or
two apart, and the median over the rounds is what is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import comparison
import end_to_end
from ceiling import Ceiling, Sessions
from comparison import Afternoon
from servers import Place
from workload import events


@dataclass(frozen=True, slots=True)
class Round:
    """`events`, `batches`, `seconds`: the steady ones. `milliseconds` by step, `windows` by stage: per event, of all.

    `ceiling` and `afternoon` are None where they were not asked for.
    """

    events: int
    batches: int
    seconds: float
    milliseconds: dict[str, float]
    windows: dict[str, float]
    ceiling: Ceiling | None
    afternoon: Afternoon | None

    @property
    def events_per_second(self) -> float:
        return self.events / self.seconds


@dataclass(frozen=True, slots=True)
class Throughput:
    """All rounds, and the median rate."""

    rounds: list[Round]

    @property
    def events_per_second(self) -> float:
        return median(each.events_per_second for each in self.rounds)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `batch_max_records` None leaves the scorer's setting as it is."""

    rounds: int
    events: int
    afternoon_events: int
    latency_events: int
    memory_events: int
    batch_max_records: int | None = None

    @property
    def overrides(self) -> dict[str, object]:
        return {} if self.batch_max_records is None else {"batch_max_records": self.batch_max_records}


def measure(place: Place, size: Size, parts: Sequence[str], *, say: Callable[[str], None]) -> Throughput:
    """`size.rounds` rounds of what `parts` need."""
    sessions: Sessions | None = None
    rounds: list[Round] = []
    for number in range(1, size.rounds + 1):
        settings = place.fresh("end-to-end", **size.overrides)
        workload = events(size.events, seed=number)
        run = end_to_end.measure(place, settings, workload)
        if "a" in parts:
            sessions = sessions or Sessions(settings)
        rounds.append(
            Round(
                events=run.events,
                batches=len(run.steady),
                seconds=run.seconds,
                milliseconds={step: 1000 * seconds / size.events for step, seconds in run.work.seconds.items()},
                windows={stage: count / size.events for stage, count in run.work.windows.items()},
                ceiling=sessions.measure(run, workload) if sessions else None,
                afternoon=_afternoon(place, size, seed=number) if "b" in parts else None,
            )
        )
        say(f"round {number} of {size.rounds}: {_line(rounds[-1])}")
    return Throughput(rounds)


def _afternoon(place: Place, size: Size, *, seed: int) -> Afternoon:
    settings = place.fresh("afternoon")
    return comparison.measure(place, settings, events(size.afternoon_events + 1, seed=seed))


def _line(one: Round) -> str:
    parts = [f"end to end {one.events_per_second:.2f} events/s"]
    if one.ceiling:
        parts.append(f"{one.ceiling.seconds / one.seconds:.3f} of the ceiling")
    if one.afternoon:
        parts.append(f"afternoon's consumer {one.afternoon.events / one.afternoon.seconds:.2f} events/s")
    return ", ".join(parts)
