"""The one package that knows a Kafka client. Everything else sees `Source`, `Sink` and `Record`."""

from services.kafka.history import History
from services.kafka.lag import Lag, measure_lag
from services.kafka.sink import KafkaSink
from services.kafka.source import KafkaSource
from services.kafka.tail import KafkaTail
from services.kafka.topics import (
    all_topics,
    committed_offsets,
    create_topics,
    missing_topics,
    read_topic,
    require_topics,
    starting_offsets,
)

__all__ = [
    "History",
    "KafkaSink",
    "KafkaSource",
    "KafkaTail",
    "Lag",
    "all_topics",
    "committed_offsets",
    "create_topics",
    "measure_lag",
    "missing_topics",
    "read_topic",
    "require_topics",
    "starting_offsets",
]
