"""Keeping Alertmanager told, in a thread of its own: however slow it is, correlation goes on, and the reverse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from alerting.alert import Alert
from alerting.alertmanager import Links, posted
from services.alertmanager import Alertmanager
from services.errors import ServicesError
from services.logs import get_logger
from services.metrics import CorrelatorMetrics

POST_EVERY: Final = timedelta(seconds=30)
_STOP_WITHIN: Final = 6.0


class Notifications:
    """Posts everything that was last shown, again and again: Alertmanager forgets what nobody repeats."""

    def __init__(
        self,
        alertmanager: Alertmanager | None,
        links: Links,
        metrics: CorrelatorMetrics,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Without an `alertmanager` nobody is told."""
        self.silenced: frozenset[str] | None = None
        """Fingerprints that somebody has silenced, None where that is not known (yet)."""
        self._alertmanager = alertmanager
        self._links = links
        self._metrics = metrics
        self._clock = clock
        self._alerts: tuple[Alert, ...] = ()
        self._changed = Event()
        self._stopped = Event()
        self._failure: Exception | None = None
        self._log = get_logger("correlator")
        self._thread = Thread(target=self._run, name="notifications", daemon=True)

    def show(self, alerts: Sequence[Alert]) -> None:
        """What is to be posted from now on; at once where it differs from before. Raises `ServicesError` where posting
        itself has failed, which is a fault of ours.
        """
        if self._failure is not None:
            raise ServicesError(f"notifications: {type(self._failure).__name__}") from self._failure
        before, self._alerts = self._alerts, tuple(alerts)
        if _states(before) != _states(self._alerts):
            self._changed.set()

    def _run(self) -> None:
        try:
            self._post_until_stopped()
        except Exception as error:
            self._failure = error

    def _post_until_stopped(self) -> None:
        failed = 0
        while True:
            self._changed.clear()
            if self._stopped.is_set():  # only after clearing: whoever stops this sets both
                return
            failed = failed + 1 if self.post() == "unreachable" else 0
            if failed:  # what changes meanwhile waits as well
                self._stopped.wait(min(2.0**failed, POST_EVERY.total_seconds()))
            else:
                self._changed.wait(POST_EVERY.total_seconds())

    def post(self) -> str:
        """Posts once, and says how that ended. See `Alertmanager.post`."""
        items = [posted(alert, self._clock(), self._links) for alert in self._alerts]
        fired = [item for item in items if item is not None]
        if self._alertmanager is None or not fired:
            return "accepted"
        outcome = self._alertmanager.post(fired)
        self._metrics.notifications.labels(outcome).inc()
        if outcome == "accepted":
            silenced = self._alertmanager.silenced()
            self.silenced = self.silenced if silenced is None else silenced
        else:
            self._log.warning("Alertmanager does not take alerts", outcome=outcome, alerts=len(fired))
        return outcome

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._changed.set()
        self._thread.join(_STOP_WITHIN)
        if self._alertmanager is not None and not self._thread.is_alive():
            self._alertmanager.close()


def _states(alerts: Sequence[Alert]) -> set[tuple[object, ...]]:
    return {(alert.fingerprint, alert.state, alert.started_at) for alert in alerts}
