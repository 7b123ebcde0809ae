"""Topics: which there are, what is in them, and how far a group has come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, RetriableError, TopicAlreadyExistsError

from services.errors import ServicesError, TransientError
from services.kafka.connection import DEAD_LETTER_ALLOWANCE, connected, record_of
from services.records import Record
from services.settings import Settings

_STANDSTILL: Final = timedelta(seconds=60)  # longer than a transaction stays open whose writer is dead
_TOPICS: Final[dict[str, dict[str, str]]] = {
    "transcripts": {},
    "transcripts.dead": {},
    # By the broker's clock: what is judged when must not hang on that of whoever writes.
    "verdicts": {"message.timestamp.type": "LogAppendTime"},
    "verdicts.dead": {},
    # The latest state of each alert is what a correlator takes up from; those of weeks ago are of no use.
    "alerts": {"cleanup.policy": "compact,delete", "retention.ms": str(14 * 24 * 3600 * 1000)},
    # Whoever retrains may be away for long. The labels themselves are in the database.
    "retraining.queue": {"cleanup.policy": "delete", "retention.ms": str(90 * 24 * 3600 * 1000)},
    # What each installation serves now; how it came to that is in the audit log.
    "rollouts": {"cleanup.policy": "compact"},
    "retraining.queue.dead": {},
}
"""Names, and what is set besides the defaults."""


def all_topics(settings: Settings) -> list[str]:
    """Every topic that Plumbline uses."""
    return [settings.topic(name) for name in _TOPICS]


def create_topics(settings: Settings) -> list[str]:
    """Creates the topics that are not there yet, and returns these. Raises `TransientError` without a broker."""
    created = []
    with _admin(settings) as admin:
        for short, configs in _TOPICS.items():
            name = settings.topic(short)
            allowance = DEAD_LETTER_ALLOWANCE if name.endswith(".dead") else 0
            topic = NewTopic(
                name=name,
                num_partitions=settings.topic_partitions,
                replication_factor=settings.topic_replication,
                topic_configs={**configs, "max.message.bytes": str(settings.record_max_bytes + allowance)},
            )
            try:
                admin.create_topics([topic])
                created.append(name)
            except TopicAlreadyExistsError:
                continue
            except KafkaError as error:
                raise ServicesError(f"{name}: the broker did not create it: {type(error).__name__}") from error
        _wait_until_listed(admin, all_topics(settings))
    return created


def missing_topics(settings: Settings, topics: Sequence[str]) -> list[str]:
    """Which of `topics` the broker does not have. Raises `TransientError` without a broker."""
    with _admin(settings) as admin:
        there = set(admin.list_topics())
    return [topic for topic in topics if topic not in there]


def require_topics(settings: Settings, topics: Sequence[str]) -> None:
    """Raises `ServicesError` where one is missing: a consumer of no topic would wait silently for ever."""
    if missing := missing_topics(settings, topics):
        raise ServicesError(f"topics missing: {', '.join(missing)}; create them with `plumbline topics create`")


def committed_offsets(settings: Settings, group: str) -> dict[tuple[str, int], int]:
    """(topic, partition) → offset that `group` has committed."""
    with _admin(settings) as admin:
        offsets = admin.list_group_offsets(group).get(group, {})
    return {(partition.topic, partition.partition): metadata.offset for partition, metadata in offsets.items()}


def read_topic(settings: Settings, topic: str) -> Iterator[Record]:
    """All that is in a topic now, partition by partition, as no member of any group: what is committed, where it was
    written in transactions. Raises `TransientError`.
    """
    return read_from(settings, topic, {})


def read_written(settings: Settings, topic: str) -> Iterator[Record]:
    """As `read_topic`, with what was written in transactions that were aborted, or never ended. For topics where that
    does no harm: a transaction that hangs (see ADR 14) holds nobody up then.
    """
    return _read(settings, topic, {}, "read_uncommitted")


def read_from(settings: Settings, topic: str, starts: Mapping[int, int]) -> Iterator[Record]:
    """As `read_topic`, from these offsets on (by partition), or from the beginning of the log where that is later.

    A partition without one is read from its beginning.
    """
    return _read(settings, topic, starts, "read_committed")


def _read(settings: Settings, topic: str, starts: Mapping[int, int], isolation: str) -> Iterator[Record]:
    require_topics(settings, [topic])
    consumer = connected(
        KafkaConsumer,
        settings,
        group_id=None,
        allow_auto_create_topics=False,
        auto_offset_reset="earliest",
        isolation_level=isolation,
        fetch_max_wait_ms=50,
    )
    try:
        for number in sorted(consumer.partitions_for_topic(topic) or ()):
            partition = TopicPartition(topic, number)
            consumer.assign([partition])
            if number in starts:
                consumer.seek(partition, starts[number])
            else:
                consumer.seek_to_beginning(partition)
            yield from _to_the_end(consumer, partition)
    except RetriableError as error:
        raise TransientError(f"{topic}: the Kafka broker cannot answer now: {type(error).__name__}") from error
    finally:
        consumer.close()


def _to_the_end(consumer: Any, partition: TopicPartition) -> Iterator[Record]:
    """By the high watermark of the fetches: the embedded broker's answer to `end_offsets` is too low."""
    moved, before = time.monotonic(), None
    while (end := consumer.highwater(partition)) is None or consumer.position(partition) < end:
        for messages in consumer.poll(timeout_ms=200).values():
            yield from map(record_of, messages)
        if (now_at := consumer.position(partition)) != before:
            moved, before = time.monotonic(), now_at
        elif time.monotonic() - moved > _STANDSTILL.total_seconds():
            raise TransientError(f"{partition.topic}: nothing has come from the Kafka broker for {_STANDSTILL}")


def end_offsets(settings: Settings, topic: str) -> dict[int, int]:
    """Partition → an offset at or before its end: all that is appended from now on lies there or behind.

    Raises `TransientError`, and `ServicesError` without the topic.
    """
    require_topics(settings, [topic])
    consumer = connected(KafkaConsumer, settings, group_id=None, allow_auto_create_topics=False)
    try:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        return {each.partition: offset for each, offset in consumer.end_offsets(partitions).items()}
    except KafkaError as error:
        raise TransientError(f"{topic}: the Kafka broker cannot answer now: {type(error).__name__}") from error
    finally:
        consumer.close()


def starting_offsets(settings: Settings, topic: str, group: str) -> dict[int, int]:
    """Partition → where `group` would go on reading: from what it has committed, else from the beginning of the log."""
    committed = committed_offsets(settings, group)
    consumer = connected(KafkaConsumer, settings, group_id=None, allow_auto_create_topics=False)
    try:
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        beginnings = consumer.beginning_offsets(partitions)
    except RetriableError as error:
        raise TransientError(f"{topic}: the Kafka broker cannot answer now: {type(error).__name__}") from error
    finally:
        consumer.close()
    return {each.partition: max(committed.get((topic, each.partition), 0), beginnings[each]) for each in partitions}


@contextmanager
def _admin(settings: Settings) -> Iterator[Any]:
    client = connected(KafkaAdminClient, settings)
    try:
        yield client
    except RetriableError as error:
        raise TransientError(f"the Kafka broker cannot answer now: {type(error).__name__}") from error
    finally:
        client.close()


def _wait_until_listed(admin: Any, topics: Sequence[str]) -> None:
    """A new topic takes a moment to be known everywhere."""
    admin.describe_topics(list(topics))
    for _ in range(100):
        if set(topics) <= set(admin.list_topics()):
            return
