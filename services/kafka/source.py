"""Reading as a member of a consumer group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    RetriableError,
    UnknownMemberIdError,
)
from kafka.structs import OffsetAndMetadata

from services.errors import ServicesError, TransientError
from services.kafka.connection import ANSWER_TIMEOUT, connected, milliseconds, record_of
from services.kafka.topics import require_topics
from services.records import Record
from services.settings import MEBIBYTE, Settings

_MAX_POLL_INTERVAL: Final = timedelta(minutes=15)
"""Longer than the largest batch takes on a slow CPU: a member that is thrown out meanwhile would never get on."""
_LOST_MEMBERSHIP: Final = (CommitFailedError, IllegalGenerationError, UnknownMemberIdError, RebalanceInProgressError)


class KafkaSource:
    """A member of a consumer group. Offsets are committed only when told to."""

    def __init__(
        self,
        settings: Settings,
        *,
        topics: Sequence[str],
        group: str,
        on_lost: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Joins `group` on `topics`. Raises `TransientError` without a broker, `ServicesError` without the topics.

        `on_lost` is told how many records the broker dropped before they were read (retention, mostly).
        """
        self._on_lost = on_lost
        self._assigned: set[Any] = set()
        self._next: dict[Any, int] = {}
        require_topics(settings, topics)
        session = int(settings.kafka_session_timeout_seconds * 1000)
        self._consumer = connected(
            KafkaConsumer,
            settings,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            session_timeout_ms=session,
            heartbeat_interval_ms=max(100, session // 4),
            max_poll_interval_ms=milliseconds(_MAX_POLL_INTERVAL),
            max_partition_fetch_bytes=4 * MEBIBYTE,
            fetch_max_wait_ms=100,
        )
        self._consumer.subscribe(list(topics))
        self._learn_partitions(topics)

    def _learn_partitions(self, topics: Sequence[str]) -> None:
        """Before joining: a member that leads its group without knowing a topic's partitions assigns none of them, to
        anybody, and (kafka-python 3.0.12) may not look again for good.
        """
        try:
            for topic in topics:
                self._consumer.partitions_for_topic(topic)
        except KafkaError as error:
            self._consumer.close(autocommit=False)
            raise TransientError(f"partitions: {type(error).__name__}") from error

    def poll(self, max_records: int, timeout: timedelta) -> list[Record]:
        """See `services.stream.Source`. Empty while the broker is away: the client reconnects by itself.

        Raises `ServicesError` for what no reconnecting heals: missing rights, or a record that is damaged in the log.
        """
        try:
            batches = self._consumer.poll(timeout_ms=milliseconds(timeout), max_records=max_records)
        except RetriableError:
            return []
        except KafkaError as error:
            raise ServicesError(f"poll: {type(error).__name__}; reading {self._positions()}") from error
        self._notice_lost(batches)
        return [record_of(message) for messages in batches.values() for message in messages]

    def commit(self, records: Sequence[Record]) -> None:
        """See `services.stream.Source`.

        Partitions that the group has given to another member are left out: the broker would take the commit, and rewind
        the other one. Where this process is no member any more, nothing is committed, and whoever owns the partitions
        now reads the records again.
        """
        ends: dict[Any, int] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            ends[partition] = max(record.offset + 1, ends.get(partition, 0))
        mine = self._consumer.assignment()
        offsets = {partition: OffsetAndMetadata(end, "", -1) for partition, end in ends.items() if partition in mine}
        if not offsets:
            return
        try:
            self._consumer.commit(offsets, timeout_ms=milliseconds(ANSWER_TIMEOUT))
        except _LOST_MEMBERSHIP:
            return
        except RetriableError as error:
            raise TransientError(f"commit: {type(error).__name__}") from error

    def _notice_lost(self, batches: dict[Any, list[Any]]) -> None:
        """Compares where reading goes on with where it should. A new assignment starts from what is committed."""
        if (assigned := self._consumer.assignment()) != self._assigned:
            self._assigned, self._next = set(assigned), {}
        for partition, messages in batches.items():
            first = messages[0].offset
            expected = self._next[partition] if partition in self._next else self._committed(partition)
            if expected is not None and first > expected and (lost := self._dropped(partition, expected, first)):
                self._on_lost(lost)
            self._next[partition] = messages[-1].offset + 1

    def _dropped(self, partition: Any, expected: int, first: int) -> int:
        """How many records of a gap are gone. A gap inside the log is none: transactions and compaction leave them.

        Where the broker is away just now, all of them: rather once too often than not at all.
        """
        try:
            beginning: int = self._consumer.beginning_offsets([partition])[partition]
        except KafkaError:
            return first - expected
        return max(0, min(first, beginning) - expected)

    def _committed(self, partition: Any) -> int | None:
        """The offset to go on from; None where there is none, or the broker is away just now.

        Nothing is raised here: the records have been taken from the client, and are not polled again.
        """
        try:
            offset: int | None = self._consumer.committed(partition, timeout_ms=milliseconds(ANSWER_TIMEOUT))
        except KafkaError:
            return None
        return offset

    def _positions(self) -> str:
        """Where it reads, for the person who has to look there."""
        places = sorted(self._consumer.assignment(), key=str)
        return ", ".join(f"{each.topic}:{each.partition}:{self._consumer.position(each)}" for each in places)

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close(autocommit=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
