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
    end_offsets,
    missing_topics,
    read_from,
    read_topic,
    read_written,
    require_topics,
    starting_offsets,
)
from services.kafka.transactions import KafkaTransactions

__all__ = [
    "History",
    "KafkaSink",
    "KafkaSource",
    "KafkaTail",
    "KafkaTransactions",
    "Lag",
    "all_topics",
    "committed_offsets",
    "create_topics",
    "end_offsets",
    "measure_lag",
    "missing_topics",
    "read_from",
    "read_topic",
    "read_written",
    "require_topics",
    "starting_offsets",
]
