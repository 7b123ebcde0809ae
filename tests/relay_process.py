"""A relay in a process of its own, to be killed at one step: `python -m tests.relay_process STEP FOLDER`.

It kills itself once, and leaves a file named after the step in FOLDER; started again, it goes on. Without SIGTERM it
never ends.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from prometheus_client import CollectorRegistry

from services.kafka import KafkaTransactions
from services.logs import configure_logs
from services.metrics import OutboxMetrics
from services.outbox import Relay, ToKafka
from services.outbox.broker import KafkaBroker, Sink
from services.process import stop_on_signals
from services.records import Outgoing
from services.settings import Settings, load_settings
from services.store import Database, open_engine
from services.store.outbox import Channel
from tests.relay_hooks import Hook, HookedBroker, HookedLedger


class Transactions(KafkaTransactions):
    """Says when records are on the topic and not committed, and when they are on their way to it."""

    at: Hook

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        flush = self._producer.flush

        def flushed(timeout: float | None = None) -> None:
            self.at("on the way")
            flush(timeout)

        self._producer.flush = flushed
        super().deliver(outgoing)

    def _commit(self) -> None:
        self.at("written")
        super()._commit()
        self.at("committed")


class Broker(KafkaBroker):
    def __init__(self, settings: Settings, at: Hook) -> None:
        super().__init__(settings)
        self._at = at

    def open(self) -> Sink:
        sink = Transactions(self._settings, "outbox")
        sink.at = self._at
        return sink


def hooked_relay(settings: Settings, database: Database, at: Hook) -> Relay:
    """As `services.outbox.process` makes it, but for the hooks."""
    metrics = OutboxMetrics(CollectorRegistry())
    lease_for = timedelta(seconds=settings.outbox_lease_seconds)
    ledger = HookedLedger(database, Channel.KAFKA, holder=uuid4().hex, lease_for=lease_for, metrics=metrics, at=at)
    courier = ToKafka(ledger, HookedBroker(Broker(settings, at), at), most_bytes=settings.record_max_bytes)
    return Relay(ledger, courier, pause=timedelta(seconds=0.1), metrics=metrics)


def main(step: str, folder: Path) -> None:
    settings = load_settings()
    configure_logs(settings)
    mark = folder / step

    def at(reached: str) -> None:
        if reached == step and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    database = Database(open_engine(settings.database_url.get_secret_value()))
    hooked_relay(settings, database, at).run(stop_on_signals())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
