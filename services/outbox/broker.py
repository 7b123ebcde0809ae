"""What the relay needs of Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol
from uuid import UUID

from services.kafka import KafkaTransactions, end_offsets, read_from
from services.outbox.encoding import message_id
from services.outbox.ledger import Offsets
from services.records import Outgoing
from services.settings import Settings

_TRANSACTIONS: Final = "outbox"


class Sink(Protocol):
    """Where records go."""

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        """Returns once all are on their topics for good. Raises `TransientError` when that is unknown; then, as after
        any other error, another sink is needed.
        """

    def close(self) -> None:
        """Never raises."""


class Broker(Protocol):
    """Raises `TransientError` where it is away."""

    def open(self) -> Sink:
        """A new sink. All that earlier ones sent is there now, or never will be."""

    def ends(self, topic: str) -> Offsets:
        """What is sent from now on lies behind these."""

    def arrived(self, topic: str, since: Offsets) -> set[UUID]:
        """Messages that lie behind `since`."""


class KafkaBroker:
    """See `Broker`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def open(self) -> Sink:
        return KafkaTransactions(self._settings, _TRANSACTIONS)

    def ends(self, topic: str) -> Offsets:
        return {str(partition): offset for partition, offset in end_offsets(self._settings, topic).items()}

    def arrived(self, topic: str, since: Offsets) -> set[UUID]:
        starts = {int(partition): offset for partition, offset in since.items()}
        return _known(message_id(record) for record in read_from(self._settings, topic, starts))


def _known(ids: Iterable[UUID | None]) -> set[UUID]:
    return {each for each in ids if each is not None}
