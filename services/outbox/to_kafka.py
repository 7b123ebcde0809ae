"""To Kafka, each message once, whatever dies: begin in the database → commit on the topic → finish in the database.

A message that was begun and not finished is *in doubt*. Before it is sent again, earlier senders are fenced off, so
that nothing of theirs can still come, and the topic is read from where the attempt began.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.errors import TooLargeError
from services.logs import get_logger
from services.outbox.broker import Broker, Sink
from services.outbox.encoding import bare, outgoing
from services.outbox.ledger import Ledger, Offsets, by_topic
from services.records import Outgoing
from services.settings import MEBIBYTE
from services.store.outbox import Channel, Message, Outcome

_BATCH_BYTES: Final = 4 * MEBIBYTE
Packed = tuple[Message, Outgoing]


class ToKafka:
    """See `services.outbox.relay.Courier`."""

    channel = Channel.KAFKA

    def __init__(self, ledger: Ledger, broker: Broker, *, most_bytes: int) -> None:
        """`most_bytes`: the largest record."""
        self._ledger = ledger
        self._broker = broker
        self._most_bytes = most_bytes
        self._sink: Sink | None = None
        self._suspects: set[int] = set()  # one of these is too large for the broker: they go one by one
        self._too_large: set[int] = set()
        self._log = get_logger("relay")

    def carry(self, messages: Sequence[Message], now: datetime) -> int:
        arrived = self._settle([each for each in messages if each.attempts], now)
        packed, hopeless = self._pack([each for each in messages if each.number not in arrived])
        self._refuse(hopeless, now)
        return len(arrived) + len(hopeless) + self._send(packed, now)

    def _settle(self, doubtful: Sequence[Message], now: datetime) -> set[int]:
        """Which of those in doubt had been sent."""
        if not doubtful:
            return set()
        # 1. From here on, nothing that is on its way can arrive.
        self.close()
        self._sink = self._broker.open()
        # 2. What is there now is all that ever will be.
        arrived: set[int] = set()
        for topic, those in by_topic(doubtful).items():
            ids = self._broker.arrived(topic, _earliest(those))
            arrived.update(each.number for each in those if each.message_id in ids)
        self._ledger.finish(sorted(arrived), Outcome.DELIVERED, now)
        self._log.info("looked for messages in doubt", doubtful=len(doubtful), arrived=len(arrived))
        return arrived

    def _pack(self, messages: Sequence[Message]) -> tuple[list[Packed], list[Message]]:
        """As many records as go at once; and what can never go, because it is too large whatever is left out."""
        packed: list[Packed] = []
        hopeless: list[Message] = []
        size = 0
        for message in messages:
            record = bare(message) if message.number in self._too_large else outgoing(message, self._most_bytes)
            if record is None:
                hopeless.append(message)
                continue
            size += len(record.value)
            if packed and (size > _BATCH_BYTES or self._suspects):
                break
            packed.append((message, record))
        return packed, hopeless

    def _send(self, packed: Sequence[Packed], now: datetime) -> int:
        if not packed:
            return 0
        if self._sink is None:
            self._sink = self._broker.open()
        # 1. Where to look for them, should anything fail from here on.
        begun = self._begin([message for message, _ in packed], now)
        going = [(message, record) for message, record in packed if message.number in begun]
        # 2. On the topics, all of them or none.
        if going:
            self._deliver(self._sink, going, now)
        # 3. Done.
        self._ledger.finish([message.number for message, _ in going], Outcome.DELIVERED, now)
        self._suspects -= {message.number for message, _ in packed}
        return len(going)

    def _begin(self, messages: Sequence[Message], now: datetime) -> set[int]:
        topics = by_topic(messages)
        starts = {topic: self._broker.ends(topic) for topic in topics}
        attempts = [([each.number for each in those], starts[topic]) for topic, those in topics.items()]
        return self._ledger.begin(attempts, now)

    def _deliver(self, sink: Sink, going: Sequence[Packed], now: datetime) -> None:
        try:
            sink.deliver([record for _, record in going])
        except TooLargeError:
            self.close()
            self._suspect([message for message, _ in going], now)
            raise
        except BaseException:
            self.close()
            raise

    def _suspect(self, messages: Sequence[Message], now: datetime) -> None:
        """The broker's limit is below ours: find out for which, and send that one without what makes it large."""
        self._suspects = {each.number for each in messages}
        if len(messages) > 1:
            return
        if messages[0].number in self._too_large:
            self._refuse(messages, now)
        self._too_large = self._suspects.copy()

    def _refuse(self, messages: Sequence[Message], now: datetime) -> None:
        for message in messages:
            self._log.error("a message is too large, whatever is left out", number=message.number, topic=message.topic)
        self._ledger.finish([message.number for message in messages], Outcome.REFUSED, now)

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None


def _earliest(messages: Sequence[Message]) -> Offsets:
    """By partition; none where one of the messages began before the partition was known."""
    starts = [message.sending_from or {} for message in messages]
    known = set.intersection(*(set(each) for each in starts))
    return {partition: min(each[partition] for each in starts) for partition in known}
