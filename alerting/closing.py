"""Alerts that people have closed: what was known then calls nobody again, what comes later does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from alerting.finding import Condition, Finding, newest
from alerting.tracking import Tracked
from detectors.transcript import Frozen, Moment


class Closing(Frozen):
    """Somebody has resolved the case behind the alert with this `fingerprint`. Written to the topic `alerts` under that
    key, as `{"closed": true, "fingerprint": ..., "at": ...}`.
    """

    closed: Literal[True] = True
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")
    at: Moment


@dataclass(slots=True)
class _Closed:
    at: datetime | None = None
    over: bool = False


class Closings:
    """The last closing of each alert, for the `most` that were closed last."""

    def __init__(self, most: int = 10_000) -> None:
        self._closed: Tracked[str, _Closed] = Tracked(most, lambda _: _Closed())

    def add(self, fingerprint: str, at: datetime) -> None:
        """A closing before the last one changes nothing."""
        closed = self._closed.touch(fingerprint)
        if closed.at is None or at > closed.at:
            closed.at, closed.over = at, False

    def holds(self, finding: Finding) -> bool:
        """Whether all that speaks for `finding` was there when people closed the alert.

        A finding without cases says nothing about when: it stays closed until its condition has once not held.
        """
        closed = self._closed.get(finding.fingerprint)
        if closed is None or closed.at is None:
            return False
        last = newest(finding.cases)
        return not closed.over if last is None else last <= closed.at

    def see(self, found: Mapping[str, Finding]) -> None:
        """Notes which conditions hold no more. `found`: all findings of one step by fingerprint."""
        for fingerprint, closed in self._closed.items():
            finding = found.get(fingerprint)
            closed.over = closed.over or finding is None or finding.condition is not Condition.MET
