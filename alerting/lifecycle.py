"""The states of an alert: pending → firing → resolved, and no data in between.

Pure: findings and a time go in, what changed comes out. What `step` returns is published, and `restore` takes up from
what was published: a process that dies loses nothing and repeats nothing that it has said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID, uuid5

from pydantic import Field

from alerting.catalogue import CATALOGUE
from alerting.finding import Case, Condition, Finding
from alerting.severity import Severity
from detectors.transcript import Frozen, Moment

_NAMESPACE: Final = UUID("d3c6b5c2-5a0e-5a57-9f3c-0d8f6b0b8a11")
_MOST: Final = 10_000
"""Alerts at once. A flood of more is cut off: by then somebody has been called."""


_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class State(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    NO_DATA = "no_data"  # was firing, and nothing has been heard since: still an alert
    RESOLVED = "resolved"


ACTIVE: Final = frozenset({State.FIRING, State.NO_DATA})


class Alert(Frozen):
    """One alert about one subject, as it stands. `reason` says why it was resolved. No content of any conversation."""

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

    @property
    def transition_id(self) -> UUID:
        """The same whenever the same change of the same alert is worked out anew."""
        return uuid5(_NAMESPACE, f"{self.fingerprint}/{self.started_at or self.pending_at}/{self.state}")


class Transition(Frozen):
    """What is to be published: `alert` as it is now, and whether people are to hear of it."""

    alert: Alert
    notify: bool
    """Not of what is pending, nor of what is silenced."""


NONE_SILENCED: Final[Callable[[str], bool]] = lambda _: False  # noqa: E731


class Lifecycle:
    """All alerts that are not resolved."""

    def __init__(
        self,
        *,
        pending_for: Mapping[str, timedelta] | None = None,
        resolve_after: timedelta = timedelta(minutes=5),
        keep_without_data: timedelta = timedelta(hours=1),
        renotify_every: timedelta = timedelta(hours=4),
    ) -> None:
        """`pending_for`: by name of an alert, how long its condition must hold; alerts not named fire at once."""
        self._pending_for = dict(pending_for or {})
        self._resolve_after = resolve_after
        self._keep_without_data = keep_without_data
        self._renotify_every = renotify_every
        self._alerts: dict[str, Alert] = {}
        self._over_since: dict[str, datetime] = {}
        self._stepped_at: datetime | None = None

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Takes up alerts as they were last published. What was resolved does not come back for going through again
        what was before.
        """
        for alert in alerts:
            if alert.state is State.RESOLVED:
                self._alerts.pop(alert.fingerprint, None)
                self._over_since[alert.fingerprint] = alert.changed_at
            else:
                self._alerts[alert.fingerprint] = alert

    def alerts(self) -> list[Alert]:
        """What is pending, firing or without data."""
        return list(self._alerts.values())

    def step(
        self, findings: Iterable[Finding], now: datetime, silenced: Callable[[str], bool] = NONE_SILENCED
    ) -> list[Transition]:
        """What changes at `now`. A `now` before the last one changes nothing. `silenced` knows fingerprints."""
        if self._stepped_at is not None and now < self._stepped_at:
            return []
        self._stepped_at = now
        found = {finding.fingerprint: finding for finding in findings}
        transitions = []
        for key in [*self._alerts, *(key for key in found if key not in self._alerts)]:
            before = self._alerts.get(key)
            if before is None and (len(self._alerts) >= _MOST or now <= self._over_since.get(key, _NEVER)):
                continue
            if before is not None and now <= before.changed_at:  # gone through again after a restart
                continue
            after = self._next(before, found.get(key), now, silent=silenced(key))
            if after is None:
                continue
            if before is None or (before.state, before.notified_at) != (after.state, after.notified_at):
                transitions.append(Transition(alert=after, notify=_concerns(after, before)))
            if after.state is State.RESOLVED:
                del self._alerts[key]
            else:
                self._alerts[key] = after
        return transitions

    def _next(self, before: Alert | None, finding: Finding | None, now: datetime, *, silent: bool) -> Alert | None:
        """What follows `before`, mostly itself; None where there is still nothing."""
        condition = Condition.NO_DATA if finding is None else finding.condition
        if finding is not None and condition is Condition.MET:
            begun = before or _pending(finding, now)
            alert = begun.model_copy(update={**_measured(finding), "clear_since": None, "silenced": silent})
            return self._met(alert, now)
        if before is None:
            return None
        alert = before.model_copy(update={"silenced": silent})
        if alert.state is State.PENDING:
            return _changed(alert, State.RESOLVED, now, reason="was over before it fired")
        if condition is Condition.CLEAR:
            since = alert.clear_since or now
            if now - since >= self._resolve_after:
                return _changed(alert, State.RESOLVED, now, reason="the condition holds no more")
            return alert.model_copy(update={"clear_since": since})
        if alert.state is State.FIRING:
            return _changed(alert, State.NO_DATA, now)
        if now - alert.changed_at >= self._keep_without_data:
            return _changed(alert, State.RESOLVED, now, reason="nothing was heard for too long")
        return alert

    def _met(self, alert: Alert, now: datetime) -> Alert:
        if alert.state is State.PENDING:
            if now - alert.pending_at < self._pending_for.get(alert.alert, timedelta(0)):
                return alert
            alert = _changed(alert, State.FIRING, now, started_at=now)
        elif alert.state is State.NO_DATA:
            alert = _changed(alert, State.FIRING, now)
        due = alert.notified_at is None or now - alert.notified_at >= self._renotify_every
        return alert.model_copy(update={"notified_at": now}) if due and not alert.silenced else alert


def _pending(finding: Finding, now: datetime) -> Alert:
    return Alert(
        fingerprint=finding.fingerprint,
        alert=finding.alert,
        severity=CATALOGUE[finding.alert].severity,
        subject=dict(finding.subject),
        state=State.PENDING,
        value=finding.value,
        limit=finding.limit,
        since=finding.since,
        until=finding.until,
        pending_at=now,
        changed_at=now,
    )


def _changed(alert: Alert, state: State, now: datetime, **more: object) -> Alert:
    return alert.model_copy(update={"state": state, "changed_at": now, **more})


def _measured(finding: Finding) -> dict[str, object]:
    return {
        "value": finding.value,
        "limit": finding.limit,
        "detail": finding.detail,
        "since": finding.since,
        "until": finding.until,
        "cases": finding.cases,
    }


def _concerns(after: Alert, before: Alert | None) -> bool:
    """Whether people hear of it: when it fires, every reminder, and the end of what they have heard of."""
    if after.state is State.RESOLVED:
        return after.notified_at is not None and not after.silenced
    told_before = None if before is None else before.notified_at
    return after.state is State.FIRING and after.notified_at != told_before
