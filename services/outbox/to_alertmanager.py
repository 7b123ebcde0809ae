"""To Alertmanager, each message at least once: a silence that is made again is the same one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from services.logs import get_logger
from services.outbox.ledger import Ledger
from services.outbox.silences import RefusedError, Silences
from services.store import alerts
from services.store.database import Transaction
from services.store.outbox import Channel, Message, Outcome
from services.triage.alerts_of import comment

Change = Callable[[Transaction], None]


class ToAlertmanager:
    """See `services.outbox.relay.Courier`. Without an Alertmanager there is nothing to tell: that is done at once."""

    channel = Channel.ALERTMANAGER

    def __init__(self, ledger: Ledger, silences: Silences | None) -> None:
        self._ledger = ledger
        self._silences = silences
        self._log = get_logger("relay")

    def carry(self, messages: Sequence[Message], now: datetime) -> int:
        """In order, and none before the one ahead of it has come to an end: a silence must not follow its expiry."""
        begun = self._ledger.begin([([message.number for message in messages], None)], now)
        going = [message for message in messages if message.number in begun]
        for message in going:
            self._carry(message, now)
        return len(going)

    def _carry(self, message: Message, now: datetime) -> None:
        try:
            change = self._tell(message, now)
        except RefusedError as error:
            self._log.error("refused by Alertmanager", number=message.number, what=message.topic, status=error.status)
            self._ledger.finish([message.number], Outcome.REFUSED, now)
        else:
            self._ledger.finish([message.number], Outcome.DELIVERED, now, change)

    def _tell(self, message: Message, now: datetime) -> Change:
        """What the database is to know besides."""
        if self._silences is None:
            return _no_change
        if message.topic == "expire":
            self._silences.expire(comment(UUID(message.value["case_id"])))
            return _no_change
        if datetime.fromisoformat(message.value["endsAt"]) <= now:  # it waited for so long
            return _no_change
        silence_id = self._silences.put(message.value)
        return partial(alerts.silenced, case_id=message.subject_id, silence_id=silence_id)

    def close(self) -> None:
        """Nothing: connections are kept for as long as the process lives."""


def _no_change(_: Transaction) -> None:
    """Nothing."""
