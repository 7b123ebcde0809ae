"""Writing, until all replicas have it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RetriableError

from services.errors import ServicesError, TooLargeError, TransientError
from services.kafka.connection import ANSWER_TIMEOUT, DEAD_LETTER_ALLOWANCE, connected, milliseconds
from services.records import Outgoing
from services.settings import Settings

_DELIVERY_TIMEOUT: Final = timedelta(seconds=30)
_RECORD_OVERHEAD: Final = 256  # more than what a batch of one record adds to key, value and headers
_HEADER_OVERHEAD: Final = 10


def require_fits(record: Outgoing, limit: int) -> None:
    """Raises `TooLargeError` for a record over the limit; dead letters may be larger by what they say besides."""
    headers = sum(len(name) + len(value) + _HEADER_OVERHEAD for name, value in record.headers)
    size = len(record.key or b"") + len(record.value) + headers + _RECORD_OVERHEAD
    allowance = DEAD_LETTER_ALLOWANCE if record.topic.endswith(".dead") else 0
    if size > limit + allowance:
        raise TooLargeError(
            f"a record of {size:,} bytes for {record.topic} is over the limit of {limit:,} "
            "(PLUMBLINE_RECORD_MAX_BYTES, and the topic's max.message.bytes)"
        )


class KafkaSink:
    """An idempotent producer that waits for all replicas."""

    def __init__(self, settings: Settings) -> None:
        """Raises `TransientError` without a broker."""
        self._limit = settings.record_max_bytes
        self._producer = connected(
            KafkaProducer,
            settings,
            acks="all",
            allow_auto_create_topics=False,
            linger_ms=2,
            delivery_timeout_ms=milliseconds(_DELIVERY_TIMEOUT),
            request_timeout_ms=milliseconds(ANSWER_TIMEOUT),
            max_block_ms=milliseconds(ANSWER_TIMEOUT),
            max_request_size=self._limit + DEAD_LETTER_ALLOWANCE,
        )

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        """See `services.stream.Sink`. Raises `TooLargeError` for a record over its topic's limit, and then sends none.

        The limit is kept here: a refusal by the broker would break the producer for good (kafka-python 3.0.12).
        """
        for record in outgoing:
            require_fits(record, self._limit)
        futures = [self._send(record) for record in outgoing]
        self._producer.flush()
        for future in futures:
            self._acknowledged(future)

    def _send(self, record: Outgoing) -> Any:
        try:
            return self._producer.send(record.topic, value=record.value, key=record.key, headers=list(record.headers))
        except KafkaTimeoutError as error:
            raise TransientError(f"{record.topic}: no broker took it within {ANSWER_TIMEOUT}") from error

    def _acknowledged(self, future: Any) -> None:
        try:
            # Longer than the delivery timeout: giving up before the client does would send the record twice.
            future.get(timeout=_DELIVERY_TIMEOUT.total_seconds() + 10)
        except MessageSizeTooLargeError as error:
            raise TooLargeError("the broker refused a record as too large: its limit is below ours") from error
        except RetriableError as error:
            raise TransientError(f"produce: {type(error).__name__}") from error
        except KafkaError as error:  # missing rights, or a topic that refuses such records
            raise ServicesError(f"produce: {type(error).__name__}") from error

    def close(self) -> None:
        self._producer.close(timeout=ANSWER_TIMEOUT.total_seconds())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
