"""Reading what lies in a topic, all partitions together in the order of time, as no member of any group."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from services.errors import TransientError
from services.kafka.connection import connected, record_of
from services.records import Record
from services.settings import Settings

_AT_ONCE: Final = 2_000


class History:
    """The past of one topic. Every method raises `TransientError` where the broker does not answer."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._patience = settings.retry_seconds
        self._consumer = connected(
            KafkaConsumer, settings, group_id=None, allow_auto_create_topics=False, fetch_max_wait_ms=50
        )

    def between(self, since: datetime, until: datetime) -> Iterator[Record]:
        """Records appended from `since` to `until`, the earliest of all partitions first.

        A timestamp that lies in the future is no time: such a record counts as appended when the one before it was.
        """
        try:
            waiting = self._sought(since)
            latest = dict.fromkeys(waiting, since)
            while self._filled(waiting, latest):
                partition = min(waiting, key=lambda each: waiting[each][0].timestamp)
                record = waiting[partition].popleft()
                if record.timestamp > until:
                    del waiting[partition]
                elif record.timestamp >= since:  # the embedded broker may begin earlier than it was asked to
                    yield record
        except KafkaError as error:
            raise TransientError(
                f"{self._topic}: the Kafka broker cannot answer now: {type(error).__name__}"
            ) from error

    def _sought(self, since: datetime) -> dict[Any, deque[Record]]:
        """The partitions that have anything since then; the consumer stands where that begins."""
        partitions = [TopicPartition(self._topic, n) for n in self._consumer.partitions_for_topic(self._topic) or ()]
        milliseconds = max(0, int(since.timestamp() * 1000))
        found = self._consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds)) if partitions else {}
        firsts = {partition: first for partition, first in found.items() if first is not None}
        self._consumer.assign(list(firsts))
        for partition, first in firsts.items():
            self._consumer.seek(partition, first.offset)
        return {partition: deque() for partition in firsts}

    def _filled(self, waiting: dict[Any, deque[Record]], latest: dict[Any, datetime]) -> bool:
        """Reads until every partition shows its next record; those that have none any more are left out.

        Only those that lack one are read: whoever is ahead waits, so that memory stays bounded.
        """
        given_up_at = time.monotonic() + self._patience
        while empty := [partition for partition, records in waiting.items() if not records]:
            self._consumer.pause(*(each for each in self._consumer.assignment() if each not in empty))
            self._consumer.resume(*empty)
            for partition, messages in self._consumer.poll(timeout_ms=200, max_records=_AT_ONCE).items():
                waiting[partition].extend(_believed(map(record_of, messages), partition, latest))
            for partition in empty:
                if not waiting[partition] and self._at_end(partition):
                    del waiting[partition]
            if time.monotonic() > given_up_at:
                raise TransientError(f"{self._topic}: the Kafka broker does not answer")
        return bool(waiting)

    def _at_end(self, partition: Any) -> bool:
        """By the high watermark of the fetches: the embedded broker's answer to `end_offsets` is too low."""
        end = self._consumer.highwater(partition)
        return end is not None and self._consumer.position(partition) >= end

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _believed(records: Iterator[Record], partition: Any, latest: dict[Any, datetime]) -> Iterator[Record]:
    now = datetime.now(UTC)
    for record in records:
        if record.timestamp <= now:
            latest[partition] = record.timestamp
        yield replace(record, timestamp=latest[partition])
