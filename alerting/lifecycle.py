"""The life of an alert: pending → firing → resolved, and no data in between.

Pure: findings and a time go in, what changed comes out. What `step` returns is published, and `restore` takes up from
what was published: a process that dies loses nothing and repeats nothing that it has said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.alert import Alert, State, Transition
from alerting.catalogue import CATALOGUE
from alerting.closing import Closing, Closings
from alerting.finding import Case, Condition, Finding

_MOST: Final = 10_000
"""Alerts at once. A flood of more is cut off: by then somebody has been called."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


NONE_SILENCED: Final[Callable[[str], bool]] = lambda _: False  # noqa: E731


class Lifecycle:
    """All alerts that are not resolved."""

    def __init__(
        self,
        *,
        pending_for: Mapping[str, timedelta] | None = None,
        resolve_after: timedelta = timedelta(minutes=5),
        keep_without_data: timedelta = timedelta(hours=1),
        kept_longer: Mapping[str, timedelta] | None = None,
        renotify_every: timedelta = timedelta(hours=4),
    ) -> None:
        """`pending_for`: by name of an alert, how long its condition must hold; alerts not named fire at once.
        `kept_longer`, by name as well, stands in for `keep_without_data`.
        """
        self._pending_for = dict(pending_for or {})
        self._kept_longer = dict(kept_longer or {})
        self._resolve_after = resolve_after
        self._keep_without_data = keep_without_data
        self._renotify_every = renotify_every
        self._alerts: dict[str, Alert] = {}
        self._over_since: dict[str, datetime] = {}
        self._closings = Closings()
        self._stepped_at: datetime | None = None

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Takes up alerts as they were last published. What was resolved does not come back for going through again
        what was before.
        """
        for alert in alerts:
            if alert.state is State.RESOLVED:
                self._alerts.pop(alert.fingerprint, None)
                self._over_since[alert.fingerprint] = alert.changed_at
                if alert.closed_at is not None:
                    self._closings.add(alert.fingerprint, alert.closed_at)
            else:
                self._alerts[alert.fingerprint] = alert

    def close(self, closing: Closing) -> list[Transition]:
        """What changes because people have closed an alert: mostly, it is resolved.

        Nothing changes where something has come since that nobody has looked at. The same again changes nothing.
        """
        alert = self._alerts.get(closing.fingerprint)
        if alert is not None and alert.known_until > closing.at:
            return []
        self._closings.add(closing.fingerprint, closing.at)
        if alert is None:
            return []
        at = max(closing.at, alert.changed_at)
        after = _changed(alert, State.RESOLVED, at, reason="closed by people", closed_at=closing.at)
        del self._alerts[closing.fingerprint]
        return [Transition(alert=after, notify=_concerns(after, alert))]

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
        self._closings.see(found)
        transitions = []
        for key in [*self._alerts, *(key for key in found if key not in self._alerts)]:
            before = self._alerts.get(key)
            if before is None and not self._may_begin(found[key], now):
                continue
            if before is not None and now <= before.changed_at:  # gone through again after a restart
                continue
            after = self._next(before, found.get(key), now, silent=silenced(key))
            if after is None:
                continue
            if before is None or _told(before) != _told(after):
                transitions.append(Transition(alert=after, notify=_concerns(after, before)))
            if after.state is State.RESOLVED:
                del self._alerts[key]
            else:
                self._alerts[key] = after
        return transitions

    def _may_begin(self, finding: Finding, now: datetime) -> bool:
        if len(self._alerts) >= _MOST or now <= self._over_since.get(finding.fingerprint, _NEVER):
            return False
        return not self._closings.holds(finding)

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
        alert = alert.model_copy(update={"clear_since": None})  # silence is no calm
        if alert.state is State.FIRING:
            return _changed(alert, State.NO_DATA, now)
        if now - alert.changed_at >= self._kept_longer.get(alert.alert, self._keep_without_data):
            return _changed(alert, State.RESOLVED, now, reason="nothing was heard for too long")
        return alert

    def _met(self, alert: Alert, now: datetime) -> Alert:
        if alert.state is State.PENDING:
            if now - alert.pending_at < self._pending_for.get(alert.alert, timedelta(0)):
                return alert
            alert = _changed(alert, State.FIRING, now, started_at=now, model_version=_version(alert.cases))
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


def _version(cases: Iterable[Case]) -> str | None:
    """The model version that all `cases` have in common."""
    versions = {case.model_version for case in cases}
    return versions.pop() if len(versions) == 1 else None


def _told(alert: Alert) -> tuple[object, ...]:
    """What makes a change worth publishing."""
    return alert.state, alert.notified_at, alert.silenced


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
