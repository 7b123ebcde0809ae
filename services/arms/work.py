"""A batch of events, cut for the detectors of the moment."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from detectors.detector import Detector, PreparedEvent
from detectors.transcript import TranscriptEvent
from detectors.verdict import Arm
from services.arms.serving import Serving


@dataclass(frozen=True, slots=True)
class Heard:
    """An event, and why its verdict can be no better than partial, if that is known."""

    event: TranscriptEvent
    caveat: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """What one detector is to judge for one arm, by place in the batch. `ready` lacks those that it failed to cut."""

    arm: Arm
    detector: Detector
    places: Sequence[int]
    ready: Mapping[int, PreparedEvent]


@dataclass(frozen=True, slots=True)
class Work:
    """A batch, bound to the detectors of the moment in which it was prepared."""

    serving: Serving
    events: Sequence[Heard]
    tasks: Mapping[Arm, Task]


def prepare(serving: Serving, events: Sequence[Heard]) -> Work:
    """Cuts the events for each detector that will judge them. Detectors that cut alike share the work."""
    places: dict[Arm, list[int]] = {arm: [] for arm in serving.detectors}
    for place, heard in enumerate(events):
        for arm in serving.arms_of(heard.event):
            places[arm].append(place)
    cut: dict[tuple[Hashable, int], PreparedEvent] = {}
    tasks = {}
    for arm, detector in serving.detectors.items():
        ready, cutting = {}, detector.cutting
        for place in places[arm]:
            key = (cutting, place)
            found = cut.get(key) or _cut(arm, detector, events[place])
            if found is not None:
                ready[place] = cut[key] = found
        tasks[arm] = Task(arm, detector, places[arm], ready)
    return Work(serving, events, tasks)


def _cut(arm: Arm, detector: Detector, heard: Heard) -> PreparedEvent | None:
    try:
        return detector.prepare(heard.event, heard.caveat)
    except BaseException as error:
        if arm is Arm.STABLE or not is_a_failure(error):
            raise
        return None


def is_a_failure(error: BaseException) -> bool:
    """A panic of native code is no `Exception`."""
    return not isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)
