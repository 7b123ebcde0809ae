"""Writing all or nothing, and ending what an earlier writer of the same name has begun."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from services.errors import TooLargeError, TransientError
from services.kafka.connection import ANSWER_TIMEOUT, connected, milliseconds
from services.kafka.sink import require_fits
from services.records import Outgoing
from services.settings import MEBIBYTE, Settings

_DELIVERY_TIMEOUT: Final = timedelta(seconds=20)
_COMMIT_TIMEOUT: Final = timedelta(seconds=15)
_TRANSACTION_TIMEOUT: Final = timedelta(seconds=40)
"""The broker then ends what a dead writer has begun. Until then, readers of its topics wait."""
_CLOSE_TIMEOUT: Final = timedelta(seconds=5)


class KafkaTransactions:
    """A sink that delivers in transactions. A record of it is there for those who read what is committed, and once."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Fences: from now on the broker takes nothing from any earlier one of this name, whatever it still sends, and
        what that one had begun has ended, one way or the other. Raises `TransientError` without a broker.
        """
        self._limit = settings.record_max_bytes
        self._producer = connected(
            KafkaProducer,
            settings,
            transactional_id=settings.topic(name),
            transaction_timeout_ms=milliseconds(_TRANSACTION_TIMEOUT),
            acks="all",
            allow_auto_create_topics=False,
            delivery_timeout_ms=milliseconds(_DELIVERY_TIMEOUT),
            request_timeout_ms=milliseconds(ANSWER_TIMEOUT),
            max_block_ms=milliseconds(ANSWER_TIMEOUT),
            max_request_size=self._limit + MEBIBYTE,
        )
        try:
            self._producer.init_transactions()
        except KafkaError as error:
            self.close()
            raise TransientError(f"transactions: {type(error).__name__}") from error

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        """Returns once all are committed. After any error this sink is of no use, and what became of the records is
        known when the next one of this name has been made.

        Raises `TooLargeError` where one is over the limit, of ours or the broker's, and `TransientError`.
        """
        for record in outgoing:
            require_fits(record, self._limit)
        try:
            self._producer.begin_transaction()
            futures = [self._send(record) for record in outgoing]
            self._producer.flush()
            for future in futures:
                future.get(timeout=_DELIVERY_TIMEOUT.total_seconds())
            self._commit()
        except MessageSizeTooLargeError as error:
            raise TooLargeError("the broker refused a record as too large: its limit is below ours") from error
        except KafkaError as error:
            raise TransientError(f"produce: {type(error).__name__}") from error

    def _send(self, record: Outgoing) -> Any:
        return self._producer.send(record.topic, value=record.value, key=record.key, headers=list(record.headers))

    def _commit(self) -> None:
        """As `commit_transaction`, which waits for an absent broker for ever (kafka-python 3.0.12)."""
        result = self._producer._transaction_manager.begin_commit()
        self._producer._sender.wakeup()
        if not result.wait(timeout_ms=milliseconds(_COMMIT_TIMEOUT)):
            raise KafkaTimeoutError("no answer to a commit")

    def close(self) -> None:
        """Never raises; what had not been committed is not."""
        try:
            self._producer.close(timeout=_CLOSE_TIMEOUT.total_seconds())
        except KafkaError:
            self._producer._sender.force_close()
