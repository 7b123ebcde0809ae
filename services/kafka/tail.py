"""Reading what is appended from now on, as no member of any group."""

from __future__ import annotations

from datetime import timedelta
from types import TracebackType
from typing import Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, RetriableError

from services.errors import ServicesError, TransientError
from services.kafka.connection import connected, milliseconds, record_of
from services.kafka.topics import require_topics
from services.records import Record
from services.settings import Settings


class KafkaTail:
    """The end of a topic, from the moment on that this was made: what is written, in transactions that hang as well."""

    def __init__(self, settings: Settings, topic: str) -> None:
        """Raises `TransientError` without a broker, `ServicesError` without the topic."""
        require_topics(settings, [topic])
        self._consumer = connected(
            KafkaConsumer,
            settings,
            group_id=None,
            allow_auto_create_topics=False,
            fetch_max_wait_ms=100,
        )
        try:
            partitions = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic) or ()]
            self._consumer.assign(partitions)
            self._consumer.seek_to_end(*partitions)
            for partition in partitions:  # now, and not at the first poll: what is sent meanwhile must be seen
                self._consumer.position(partition)
        except KafkaError as error:
            self._consumer.close()
            raise TransientError(f"{topic}: {type(error).__name__}") from error

    def poll(self, timeout: timedelta) -> list[Record]:
        """What has come, waiting up to `timeout` for the first record. Empty while the broker is away."""
        try:
            batches = self._consumer.poll(timeout_ms=milliseconds(timeout))
        except RetriableError:
            return []
        except KafkaError as error:
            raise ServicesError(f"poll: {type(error).__name__}") from error
        return [record_of(message) for messages in batches.values() for message in messages]

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
