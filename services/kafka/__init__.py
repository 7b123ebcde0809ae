"""The one package that knows a Kafka client. Everything else sees `Source`, `Sink` and `Record`."""

from services.kafka.sink import KafkaSink
from services.kafka.source import KafkaSource
from services.kafka.topics import (
    all_topics,
    committed_offsets,
    create_topics,
    missing_topics,
    read_before,
    read_topic,
    require_topics,
    starting_offsets,
)

__all__ = [
    "KafkaSink",
    "KafkaSource",
    "all_topics",
    "committed_offsets",
    "create_topics",
    "missing_topics",
    "read_before",
    "read_topic",
    "require_topics",
    "starting_offsets",
]
