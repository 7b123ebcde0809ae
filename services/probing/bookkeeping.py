"""Which probes are under way, and how each one ends: exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from detectors.verdict import Status, Verdict

Kind = Literal["misaligned", "aligned"]


class Outcome(StrEnum):
    FLAGGED = "flagged"
    CLEAR = "clear"
    UNSCORED = "unscored"
    LOST = "lost"  # no verdict in time


@dataclass(frozen=True, slots=True)
class Ended:
    """One probe's end. `seconds` from sending it to its verdict; None where there was none."""

    kind: Kind
    outcome: Outcome
    seconds: float | None


class Probes:
    """Pure: verdicts may come in any order, twice, late, or never."""

    def __init__(self, timeout: timedelta) -> None:
        self._timeout = timeout
        self._sent: dict[str, tuple[Kind, datetime]] = {}

    def send(self, event_id: str, kind: Kind, at: datetime) -> None:
        """A probe is on its way."""
        self._sent[event_id] = (kind, at)

    def take(self, verdict: Verdict, at: datetime) -> Ended | None:
        """The end of the probe that `verdict` is about; None where that is none, or none any more.

        One that decides nothing ends nothing: nobody is called for what it flags, or does not.
        """
        if not verdict.arm.decides:
            return None
        kind, sent_at = self._sent.pop(verdict.event_id, (None, at))
        if kind is None:
            return None
        if verdict.status is Status.UNSCORED:
            outcome = Outcome.UNSCORED
        else:
            outcome = Outcome.FLAGGED if verdict.flagged else Outcome.CLEAR
        return Ended(kind, outcome, max(0.0, (at - sent_at).total_seconds()))

    def expire(self, now: datetime) -> list[Ended]:
        """Those that have waited too long: lost, whatever comes later."""
        gone = [key for key, (_, sent_at) in self._sent.items() if now - sent_at >= self._timeout]
        return [Ended(self._sent.pop(key)[0], Outcome.LOST, None) for key in gone]

    def __len__(self) -> int:
        return len(self._sent)
