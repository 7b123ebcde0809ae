"""The relay as part of a process: a thread for each channel, so that none holds up the other."""

from __future__ import annotations

from datetime import timedelta
from threading import Event, Thread
from uuid import uuid4

from prometheus_client import CollectorRegistry

from services.metrics import OutboxMetrics
from services.outbox.broker import KafkaBroker
from services.outbox.ledger import Ledger
from services.outbox.relay import Courier, Relay
from services.outbox.silences import Silences
from services.outbox.to_alertmanager import ToAlertmanager
from services.outbox.to_kafka import ToKafka
from services.settings import Settings
from services.store.database import Database
from services.store.outbox import Channel


def start_relay(settings: Settings, database: Database, registry: CollectorRegistry, stop: Event) -> Thread:
    """A thread that relays until `stop`, and ends then. Kafka, Alertmanager and database may be away, also at first."""
    metrics = OutboxMetrics(registry)
    relays = [kafka_relay(settings, database, metrics), alertmanager_relay(settings, database, metrics)]

    def run() -> None:
        threads = [Thread(target=relay.run, args=(stop,), daemon=True) for relay in relays]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    together = Thread(target=run, name="relay", daemon=True)
    together.start()
    return together


def kafka_relay(settings: Settings, database: Database, metrics: OutboxMetrics) -> Relay:
    """What is to be on topics."""
    ledger = _ledger(settings, database, Channel.KAFKA, metrics)
    courier = ToKafka(ledger, KafkaBroker(settings), most_bytes=settings.record_max_bytes)
    return _relay(settings, ledger, courier, metrics)


def alertmanager_relay(settings: Settings, database: Database, metrics: OutboxMetrics) -> Relay:
    """What Alertmanager is to know."""
    ledger = _ledger(settings, database, Channel.ALERTMANAGER, metrics)
    token = settings.alertmanager_token.get_secret_value() if settings.alertmanager_token else None
    silences = Silences(settings.alertmanager_url, token) if settings.alertmanager_url else None
    return _relay(settings, ledger, ToAlertmanager(ledger, silences), metrics)


def _ledger(settings: Settings, database: Database, channel: Channel, metrics: OutboxMetrics) -> Ledger:
    lease_for = timedelta(seconds=settings.outbox_lease_seconds)
    return Ledger(database, channel, holder=uuid4().hex, lease_for=lease_for, metrics=metrics)


def _relay(settings: Settings, ledger: Ledger, courier: Courier, metrics: OutboxMetrics) -> Relay:
    return Relay(ledger, courier, pause=timedelta(seconds=settings.outbox_poll_seconds), metrics=metrics)
