"""The loop that takes what is due out of the database, one for each channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Final, Protocol

from services.errors import ServicesError, TransientError
from services.logs import get_logger
from services.metrics import OutboxMetrics
from services.outbox.ledger import Ledger
from services.store.outbox import Channel, Message

_LONGEST_PAUSE: Final = timedelta(seconds=30)
_LOOK_EVERY: Final = timedelta(seconds=5)


class Courier(Protocol):
    """Takes messages where they belong."""

    channel: Channel

    def carry(self, messages: Sequence[Message], now: datetime) -> int:
        """Sends these and says so in the ledger; returns how many have come to an end.

        Raises `ServicesError` where the rest is to be tried again.
        """

    def close(self) -> None:
        """Lets go of connections."""


class Relay:
    """Any number of relays may run: one works, and another takes over where that one dies."""

    def __init__(
        self,
        ledger: Ledger,
        courier: Courier,
        *,
        pause: timedelta,
        metrics: OutboxMetrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`pause`: between two looks where nothing waits, and after the first failure."""
        self._ledger = ledger
        self._courier = courier
        self._pause = pause
        self._metrics = metrics
        self._clock = clock
        self._looked_at: datetime | None = None
        self._log = get_logger("relay").bind(channel=courier.channel.value)

    def relay_once(self, now: datetime) -> int:
        """Sends some of what is due; how many messages came to an end. Raises `ServicesError`."""
        if self._looked_at is None or now - self._looked_at >= _LOOK_EVERY:
            self._ledger.observe(now)
            self._looked_at = now
        messages = self._ledger.due(now)
        return self._courier.carry(messages, now) if messages else 0

    def run(self, stop: Event) -> None:
        """Until `stop`. Whatever goes wrong is tried again: nothing that was written down is given up."""
        failures = 0
        while not stop.is_set():
            try:
                pause = timedelta(0) if self.relay_once(self._clock()) else self._pause
                failures = 0
            except Exception as error:
                pause = min(_LONGEST_PAUSE, self._pause * 2 ** min(failures, 10))
                failures += 1
                self._tell(error, pause)
            stop.wait(pause.total_seconds())
        self._courier.close()
        try:
            self._ledger.leave()
        except TransientError:
            self._log.info("the database is away; the lease runs out by itself")

    def _tell(self, error: Exception, pause: timedelta) -> None:
        """What others raise may quote what they were given: of that, only the name is told."""
        self._metrics.failures.labels(self._courier.channel.value).inc()
        reason = str(error) if isinstance(error, ServicesError) else type(error).__name__
        tell = self._log.warning if isinstance(error, TransientError) else self._log.error
        tell("not sent", reason=reason, again_in_seconds=pause.total_seconds())
