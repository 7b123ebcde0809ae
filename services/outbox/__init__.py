"""How things leave the database: the relay, and where it takes them. See docs/adr/0014-the-outbox.md."""

from services.outbox.ledger import Ledger
from services.outbox.relay import Courier, Relay
from services.outbox.to_alertmanager import ToAlertmanager
from services.outbox.to_kafka import ToKafka

__all__ = ["Courier", "Ledger", "Relay", "ToAlertmanager", "ToKafka"]
