"""An alert as it stands, which is what is published of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import Field

from alerting.finding import Case, newest
from alerting.severity import Severity
from detectors.transcript import Frozen, Moment


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    NO_DATA = "no_data"  # was firing, and nothing has been heard since: still an alert
    RESOLVED = "resolved"


ACTIVE: Final = frozenset({State.FIRING, State.NO_DATA})


class Alert(Frozen):
    """One alert about one subject, as it stands. `reason` says why it was resolved, `closed_at` when people did that.
    `model_version` is that of all cases when it fired, where they had one in common. No content of any conversation.
    """

    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")
    alert: str
    severity: Severity
    subject: dict[str, str]
    state: State
    value: float
    limit: float
    detail: str = ""
    since: Moment
    until: Moment
    cases: tuple[Case, ...] = ()
    pending_at: Moment
    started_at: Moment | None = None
    changed_at: Moment
    clear_since: Moment | None = None
    notified_at: Moment | None = None
    reason: str | None = None
    silenced: bool = False
    closed_at: Moment | None = None
    model_version: str | None = None

    @property
    def known_until(self) -> datetime:
        """When the last event that speaks for it happened; where that is not known, when it began."""
        return newest(self.cases) or self.started_at or self.pending_at


class Transition(Frozen):
    """What is to be published: `alert` as it is now, and whether people are to hear of it."""

    alert: Alert
    notify: bool
    """Not of what is pending, nor of what is silenced."""
