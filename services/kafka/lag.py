"""How far groups are behind, by the broker's own count: no group's process needs to be alive for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from services.errors import TransientError
from services.kafka.connection import connected
from services.kafka.topics import committed_offsets
from services.settings import Settings


@dataclass(frozen=True, slots=True)
class Lag:
    """`appended`: topic → end offsets of its partitions, summed; `behind`: (group, topic) → records not committed."""

    appended: Mapping[str, int]
    behind: Mapping[tuple[str, str], int]


def measure_lag(settings: Settings, groups: Mapping[str, Sequence[str]]) -> Lag:
    """Names as they are on the broker. A group that has never committed has the whole log before it.

    Raises `TransientError`; for a topic whose partitions are not known, too: of that one nothing can be said.
    """
    topics = sorted({topic for topics in groups.values() for topic in topics})
    consumer = connected(KafkaConsumer, settings, group_id=None, allow_auto_create_topics=False)
    try:
        partitions = [TopicPartition(topic, n) for topic in topics for n in _partitions(consumer, topic)]
        ends = consumer.end_offsets(partitions)
        beginnings = consumer.beginning_offsets(partitions)
    except KafkaError as error:
        raise TransientError(f"offsets: {type(error).__name__}") from error
    finally:
        consumer.close()
    behind = {}
    for group, its in groups.items():
        committed = _committed(settings, group)
        for topic in its:
            behind[group, topic] = sum(
                max(0, ends[each] - max(beginnings[each], committed.get((topic, each.partition), 0)))
                for each in partitions
                if each.topic == topic
            )
    appended = {topic: sum(ends[each] for each in partitions if each.topic == topic) for topic in topics}
    return Lag(appended, behind)


def _partitions(consumer: KafkaConsumer, topic: str) -> Sequence[int]:
    found = consumer.partitions_for_topic(topic)
    if not found:
        raise TransientError(f"{topic}: its partitions are not known")
    return sorted(found)


def _committed(settings: Settings, group: str) -> Mapping[tuple[str, int], int]:
    try:
        return committed_offsets(settings, group)
    except KafkaError as error:
        raise TransientError(f"offsets of {group}: {type(error).__name__}") from error
