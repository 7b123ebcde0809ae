"""A batch of events and the detectors that judge it: exactly one deciding verdict each, whatever a candidate does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from detectors.detector import Judgement
from detectors.verdict import Arm, Status, Verdict
from services.arms.work import Task, Work, is_a_failure

Timer = Callable[[], float]
"""Seconds since whenever."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much work one arm had with a batch."""

    arm: Arm
    judgement: Judgement
    tokens: int


@dataclass(frozen=True, slots=True)
class Judged:
    """`deciding`: one verdict for each event, in order. `beside`: what others say, who decide nothing.

    `rescued` counts events that a candidate failed on and the stable detector judged in its place.
    """

    deciding: Sequence[Verdict]
    beside: Sequence[Verdict]
    efforts: Sequence[Effort]
    rescued: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    verdicts: Mapping[int, Verdict]
    efforts: Sequence[Effort] = ()


def judge(work: Work, *, now: datetime, timer: Timer) -> Judged:
    """Raises what the stable detector raises, and nothing that another one does.

    An event that the candidate cannot score, and the stable detector can, is the stable one's, in its name.
    """
    tried = {arm: _tried(task, now, timer) for arm, task in work.tasks.items() if arm is not Arm.STABLE}
    canary = tried.get(Arm.CANARY, _Outcome({})).verdicts
    stable = _judged(_stable_task(work, canary), now, timer)
    fallen_back = {
        place: verdict
        for place, verdict in stable.verdicts.items()
        if place not in canary or verdict.status is not Status.UNSCORED
    }
    decided = {**canary, **fallen_back}
    rescued = sorted(fallen_back.keys() - set(work.tasks[Arm.STABLE].places))
    beside = [verdict for arm, outcome in tried.items() for verdict in _beside(work, arm, outcome, now)]
    return Judged(
        deciding=[decided[place] for place in range(len(work.events))],
        beside=[*beside, *_failures(work, rescued, now)],
        efforts=[effort for outcome in (stable, *tried.values()) for effort in outcome.efforts],
        rescued=len(rescued),
    )


def _failures(work: Work, rescued: Sequence[int], now: datetime) -> Iterator[Verdict]:
    """What the candidate is to be held to: as a verdict on trial, since it decides nothing of these events."""
    for place in rescued:
        detector = work.serving.detectors[Arm.CANARY]
        yield detector.unjudged(work.events[place].event, now=now, arm=Arm.SHADOW)


def _beside(work: Work, arm: Arm, outcome: _Outcome, now: datetime) -> Iterator[Verdict]:
    if not arm.decides:
        detector = work.serving.detectors[arm]
        for place in work.tasks[arm].places:
            given = outcome.verdicts.get(place)
            yield given or detector.unjudged(work.events[place].event, now=now, arm=arm)


def _stable_task(work: Work, canary: Mapping[int, Verdict]) -> Task:
    """What is the stable detector's, and what the candidate could not score."""
    own, stable = work.tasks[Arm.STABLE], work.serving.stable
    ready = dict(own.ready)
    if Arm.CANARY in work.tasks:
        task = work.tasks[Arm.CANARY]
        alike = task.detector.cutting == stable.cutting
        for place in task.places:
            verdict, cut = canary.get(place), task.ready.get(place)
            nothing_there = alike and cut is not None and not cut.windows.windows
            if verdict is None or (verdict.status is Status.UNSCORED and not nothing_there):
                heard = work.events[place]
                ready[place] = cut if cut and alike else stable.prepare(heard.event, heard.caveat)
    return Task(Arm.STABLE, stable, own.places, dict(sorted(ready.items())))


def _tried(task: Task, now: datetime, timer: Timer) -> _Outcome:
    try:
        return _judged(task, now, timer)
    except BaseException as error:
        if not is_a_failure(error):
            raise
        return _Outcome({})


def _judged(task: Task, now: datetime, timer: Timer) -> _Outcome:
    """Its verdicts, each with its share of the time, by windows."""
    if not task.ready:
        return _Outcome({})
    began = timer()
    judgement = task.detector.judge(list(task.ready.values()), now=now, arm=task.arm)
    seconds = timer() - began
    windows = [item.windows.windows for item in task.ready.values()]
    each = seconds / max(1, sum(map(len, windows)))
    verdicts = {
        place: verdict.model_copy(update={"seconds": round(each * len(of_event), 6)}) if of_event else verdict
        for place, verdict, of_event in zip(task.ready, judgement.verdicts, windows, strict=True)
    }
    tokens = sum(len(window) for of_event in windows for window in of_event)
    return _Outcome(verdicts, (Effort(task.arm, judgement, tokens),))
