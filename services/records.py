"""Kafka records, without Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: datetime
    headers: Headers = ()

    @property
    def place(self) -> str:
        """`topic:partition:offset`, which names the record for ever."""
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers = ()
