"""What the database knows of messages on their way, in the hands of the one relay that works on a channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.metrics import OutboxMetrics
from services.store import leases, outbox
from services.store.database import Database, Transaction
from services.store.outbox import Channel, Message, Outcome

_AT_ONCE: Final = 20
Offsets = dict[str, int]
"""By partition, whose number is a string: this goes to the database as JSON."""


def _nothing(_: Transaction) -> None:
    """No further change."""


class Ledger:
    """Every method is one transaction, and raises `TransientError` where the database is away."""

    def __init__(
        self, database: Database, channel: Channel, *, holder: str, lease_for: timedelta, metrics: OutboxMetrics
    ) -> None:
        """`holder` is this relay's name, and nobody else's."""
        self._database = database
        self._channel = channel
        self._lease = f"outbox/{channel.value}"
        self._holder = holder
        self._lease_for = lease_for
        self._metrics = metrics

    def due(self, now: datetime) -> list[Message]:
        """What waits to be sent, in order. Empty where another relay has the channel."""
        with self._database.read() as tx:
            if not outbox.due(tx, now, channel=self._channel, limit=1):
                return []
        with self._database.write() as tx:  # looked at again: only the holder of the lease knows what is in doubt
            if not leases.take(tx, self._lease, self._holder, now=now, until=now + self._lease_for):
                return []
            return outbox.due(tx, now, channel=self._channel, limit=_AT_ONCE)

    def begin(self, attempts: Sequence[tuple[Sequence[int], Offsets | None]], now: datetime) -> set[int]:
        """Says of these numbers that they are about to be sent, and where to look for them should that fail.

        Returns those that may be sent: not what was taken back meanwhile, and nothing where another relay took over.
        """
        with self._database.write() as tx:
            if not leases.extend(tx, self._lease, self._holder, until=now + self._lease_for):
                return set()
            return {number for numbers, start in attempts for number in outbox.begin(tx, numbers, start)}

    def finish(
        self,
        numbers: Sequence[int],
        outcome: Outcome,
        now: datetime,
        also: Callable[[Transaction], None] = _nothing,
    ) -> None:
        """These have come to an end. `also`: what else is then known, written with it."""
        if not numbers:
            return
        with self._database.write() as tx:
            outbox.finish(tx, numbers, outcome, now)
            also(tx)
        self._metrics.finished(self._channel.value, outcome.value, len(numbers))

    def observe(self, now: datetime) -> None:
        """Tells the metrics what waits."""
        with self._database.read() as tx:
            waiting = outbox.depth(tx).get(self._channel.value, 0)
            since = outbox.oldest_due(tx, self._channel, now)
        self._metrics.observe(self._channel.value, waiting, (now - since).total_seconds() if since else 0.0)

    def leave(self) -> None:
        """Lets another relay go on at once."""
        with self._database.write() as tx:
            leases.give_back(tx, self._lease, self._holder)


def by_topic(messages: Sequence[Message]) -> Mapping[str, list[Message]]:
    """In the order in which they came."""
    topics: dict[str, list[Message]] = {}
    for message in messages:
        topics.setdefault(message.topic, []).append(message)
    return topics
