"""Whether a retraining run starts now, and why; where it does not, why not. Pure.

What nobody asked for waits until people have stopped labelling for a while, until the run before is some time ago, and
for a new day where the day's runs are used up. Who asks does not wait for any of that, but for the run under way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Trigger = Literal["labels", "false_positives", "drift", "schedule", "manual"]
_Z: Final = 1.644854
"""One-sided 95 %."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """When runs start. `schedule` None: never by the calendar alone.

    `new_labels`: confirmed ones of one category. Decisions about as many flags are enough to judge false positives by,
    whose share may be up to `false_positives`; where something drifts, a quarter of it is enough, whatever they say.
    """

    new_labels: int
    quiet: timedelta
    pause: timedelta
    schedule: timedelta | None
    false_positives: float
    runs_per_day: int


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that ended. `asked`: by a person."""

    started_at: datetime
    ended_at: datetime
    asked: bool


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known now. New labels are those that no run has counted.

    `confirmed` by category, `dismissed` in all; `flags` are decisions about what detectors flagged, of which
    `dismissed_flags`. `newest_label_at`: when the last new one came; `oldest_label_at`: the first of all, counted or
    not. `drifting`: alerts that fire, and since when. `runs`: those of the last day at least, and the last one.
    `candidate`: one that is on its way.
    """

    confirmed: Mapping[str, int]
    dismissed: int
    flags: int
    dismissed_flags: int
    newest_label_at: datetime | None
    oldest_label_at: datetime | None
    drifting: Mapping[str, datetime]
    runs: Sequence[PastRun]
    under_way: int | None = None
    candidate: str | None = None
    asked: str | None = None

    @property
    def new_labels(self) -> int:
        return sum(self.confirmed.values()) + self.dismissed


@dataclass(frozen=True, slots=True)
class Start:
    """A run starts, set off by `trigger`, for `reason`."""

    trigger: Trigger
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """No run starts, for `reason`."""

    reason: str


def decide(situation: Situation, limits: Limits, now: datetime) -> Start | Wait:
    """Whether a run starts now."""
    if situation.under_way is not None:
        return Wait(f"run {situation.under_way} is under way")
    if situation.asked is not None:
        return Start("manual", situation.asked)
    cause = _cause(situation, limits, now)
    if cause is None:
        return Wait(_nearest(situation, limits))
    hindrance = _hindrance(situation, limits, now)
    return cause if hindrance is None else Wait(f"{cause.reason}; {hindrance}")


def _cause(situation: Situation, limits: Limits, now: datetime) -> Start | None:
    found = (
        _enough_labels(situation, limits),
        _false_positives(situation, limits),
        _drift(situation, limits),
        _calendar(situation, limits, now),
    )
    return next((each for each in found if each is not None), None)


def _enough_labels(situation: Situation, limits: Limits) -> Start | None:
    enough = sorted(category for category, count in situation.confirmed.items() if count >= limits.new_labels)
    if not enough:
        return None
    told = ", ".join(f"{situation.confirmed[category]} of {category or 'no category'}" for category in enough)
    return Start("labels", f"new confirmed labels: {told}; {limits.new_labels} are enough")


def _false_positives(situation: Situation, limits: Limits) -> Start | None:
    if situation.flags < limits.new_labels:
        return None
    at_least = lower_bound(situation.dismissed_flags, situation.flags)
    if at_least <= limits.false_positives:
        return None
    told = f"people dismissed {situation.dismissed_flags} of {situation.flags} flags, at a confidence of 95 %"
    return Start("false_positives", f"{told} {at_least:.0%} or more; {limits.false_positives:.0%} are the limit")


def _drift(situation: Situation, limits: Limits) -> Start | None:
    """An alert counts for one run: after that, it has to end and fire again."""
    last = max((run.started_at for run in situation.runs), default=None)
    firing = sorted(name for name, since in situation.drifting.items() if last is None or since > last)
    if not firing or situation.new_labels < _for_drift(limits):
        return None
    return Start("drift", f"{', '.join(firing)} fires, and {situation.new_labels} labels are new")


def _calendar(situation: Situation, limits: Limits, now: datetime) -> Start | None:
    began = max((run.started_at for run in situation.runs), default=situation.oldest_label_at)
    if limits.schedule is None or began is None or now - began < limits.schedule:
        return None
    return Start("schedule", f"there was no run since {began:%Y-%m-%d}")


def _hindrance(situation: Situation, limits: Limits, now: datetime) -> str | None:
    if situation.candidate is not None:
        return f"{situation.candidate} is on its way, and what becomes of it is waited for"
    # Who goes on labelling for ever does not hold up the run for ever.
    newest, plenty = situation.newest_label_at, situation.new_labels >= 2 * limits.new_labels
    if newest is not None and not plenty and now - newest < limits.quiet:
        return f"people are labelling: it starts once no label has come for {_told(limits.quiet)}"
    last = max((run.ended_at for run in situation.runs), default=None)
    if last is not None and now - last < limits.pause:
        return f"the run before ended at {last:%Y-%m-%d %H:%M}: {_told(limits.pause)} lie between two runs"
    today = sum(not run.asked and now - run.started_at < _DAY for run in situation.runs)
    if today >= limits.runs_per_day:
        return f"{today} runs have started within a day, and {limits.runs_per_day} may"
    return None


def _nearest(situation: Situation, limits: Limits) -> str:
    """How far it is to a run."""
    if situation.new_labels == 0:
        return "no label is new"
    most = max(situation.confirmed.values(), default=0)
    told = f"{situation.new_labels} labels are new: of one category at most {most} confirmed, {limits.new_labels} are"
    return f"{told} enough; {situation.dismissed_flags} of {situation.flags} flags dismissed"


def _for_drift(limits: Limits) -> int:
    return max(1, limits.new_labels // 4)


def _told(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    return f"{minutes:g} minutes" if minutes < 120 else f"{minutes / 60:g} hours"


def lower_bound(count: int, of: int) -> float:
    """What a share is at least, with 95 % confidence (the score interval of Wilson, 1927, one-sided)."""
    if of == 0:
        return 0.0
    share = count / of
    centre = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z / (1 + _Z**2 / of) * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    return max(0.0, min(share, centre - half))
