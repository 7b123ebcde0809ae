"""Verdicts in, alerts out: all rules, and the life of what they find."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from alerting.alert import Transition
from alerting.finding import Finding, Rule
from alerting.lifecycle import NONE_SILENCED, Lifecycle
from alerting.time_windows import event_time
from detectors.verdict import Verdict

STEP: Final = timedelta(seconds=15)
_MOST_STEPS: Final = 2_000
"""At once: after a longer gap, time jumps."""


class Taken(StrEnum):
    """What became of a verdict."""

    COUNTED = "counted"
    DUPLICATE = "duplicate"
    SYNTHETIC = "synthetic"
    ASIDE = "aside"  # of a detector on trial, or held out
    LATE = "late"


class Correlator:
    """Pure: time comes from outside. State is what `take` was given, and can be had again by giving it again."""

    def __init__(
        self,
        rules: Sequence[Rule],
        lifecycle: Lifecycle,
        *,
        step: timedelta = STEP,
        horizon: timedelta = timedelta(hours=24),
        remembered: int = 200_000,
    ) -> None:
        """Rules are asked every `step`. What happened more than `horizon` ago is late. So many events are remembered to
        know duplicates by, at about 100 bytes each.
        """
        self.rules = rules
        self._lifecycle = lifecycle
        self._step = step
        self._horizon = horizon
        self._remembered = remembered
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._stepped_at: datetime | None = None

    @property
    def lifecycle(self) -> Lifecycle:
        return self._lifecycle

    @property
    def horizon(self) -> timedelta:
        return self._horizon

    def take(self, verdict: Verdict, appended_at: datetime) -> Taken:
        """Shows the rules one verdict. An event counts once, however often and by whatever bundle it is judged."""
        if verdict.synthetic:
            return Taken.SYNTHETIC
        if not verdict.arm.decides:
            return Taken.ASIDE
        if self._known(verdict):
            return Taken.DUPLICATE
        at = event_time(verdict.occurred_at, appended_at)
        if appended_at - at > self._horizon:
            return Taken.LATE
        for rule in self.rules:
            rule.observe(verdict, at)
        return Taken.COUNTED

    def _known(self, verdict: Verdict) -> bool:
        parts = (verdict.tenant_id, verdict.conversation_id, verdict.event_id)
        text = "".join(f"{len(part)}:{part}" for part in parts)
        key = hashlib.blake2b(text.encode(), digest_size=12).digest()
        if key in self._seen:
            self._seen.move_to_end(key)
            return True
        self._seen[key] = None
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        return False

    def advance(self, to: datetime, silenced: Callable[[str], bool] = NONE_SILENCED) -> list[Transition]:
        """Asks the rules at every full step up to `to`, in order. Nothing happens before the first full step."""
        return [transition for _, found in self.steps(to, silenced) for transition in found]

    def steps(
        self, to: datetime, silenced: Callable[[str], bool] = NONE_SILENCED
    ) -> Iterator[tuple[datetime, list[Transition]]]:
        """As `advance`, one step for each `next`: its time, and what changed."""
        last = self._floor(to)
        stepped = last - self._step if self._stepped_at is None else self._stepped_at
        count = max(0, round((last - stepped) / self._step))
        for number in range(max(0, count - _MOST_STEPS) + 1, count + 1):
            self._stepped_at = at = stepped + number * self._step
            yield at, self._lifecycle.step(self._findings(at), at, silenced)
        self._stepped_at = max(stepped, last)

    def begin(self, at: datetime) -> None:
        """Time begins here: steps before are not made up for."""
        self._stepped_at = self._floor(at)

    def _floor(self, at: datetime) -> datetime:
        seconds = self._step.total_seconds()
        return datetime.fromtimestamp(at.timestamp() // seconds * seconds, tz=at.tzinfo)

    def _findings(self, now: datetime) -> list[Finding]:
        return [finding for rule in self.rules for finding in rule.findings(now)]

    def tracked(self) -> Mapping[str, int]:
        """Entries in memory by kind."""
        return self._summed(lambda rule: rule.tracked()) | {"event": len(self._seen)}

    def evicted(self) -> Mapping[str, int]:
        """Entries dropped for space by kind."""
        return self._summed(lambda rule: rule.evicted())

    def _summed(self, of: Callable[[Rule], Mapping[str, int]]) -> dict[str, int]:
        total: Counter[str] = Counter()
        for rule in self.rules:
            total.update(of(rule))
        return dict(total)
