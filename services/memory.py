"""A broker in memory, behind the same contract as Kafka (`tests/contract`): for tests, in one process and one thread.

It keeps what matters for delivery: partitions by key, consumer groups that rebalance when members come and go,
positions that fall back to the committed offset, and no commits by one member for another.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from services.errors import ServicesError, TooLargeError
from services.records import Outgoing, Record

_Place = tuple[str, int]


class MemoryBroker:
    """Topics, and the offsets that groups have committed."""

    def __init__(
        self,
        *,
        partitions: int = 2,
        max_bytes: int = 1_000_000,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.partitions = partitions
        self.committed: defaultdict[str, dict[_Place, int]] = defaultdict(dict)
        self._max_bytes = max_bytes
        self._clock = clock
        self._logs: dict[_Place, list[Record]] = {}
        self._members: defaultdict[str, list[MemorySource]] = defaultdict(list)

    def create_topics(self, *topics: str) -> None:
        for topic in topics:
            for partition in range(self.partitions):
                self._logs.setdefault((topic, partition), [])

    def log(self, topic: str) -> list[Record]:
        """All records of a topic, partition by partition."""
        return [record for place, records in sorted(self._logs.items()) if place[0] == topic for record in records]

    def source(self, *topics: str, group: str) -> MemorySource:
        """A new member of `group`."""
        if missing := [topic for topic in topics if (topic, 0) not in self._logs]:
            raise ServicesError(f"topics missing: {', '.join(missing)}")
        member = MemorySource(self, topics, group)
        self._members[group].append(member)
        return member

    def sink(self) -> MemorySink:
        return MemorySink(self)

    def append(self, outgoing: Outgoing) -> None:
        if len(outgoing.value) > self._max_bytes:
            raise TooLargeError(f"a record of {len(outgoing.value):,} bytes for {outgoing.topic} is over the limit")
        partition = zlib.crc32(outgoing.key or b"") % self.partitions
        log = self._logs[outgoing.topic, partition]
        log.append(
            Record(
                outgoing.topic,
                partition,
                len(log),
                outgoing.key,
                outgoing.value,
                self._clock(),
                outgoing.headers,
            )
        )

    def read(self, place: _Place, offset: int, max_records: int) -> list[Record]:
        return self._logs[place][offset : offset + max_records]

    def assignment(self, member: MemorySource) -> frozenset[_Place]:
        """The partitions that are `member`'s now: shared out evenly among the members of its group."""
        members = self._members[member.group]
        if member not in members:
            return frozenset()
        places = sorted(place for place in self._logs if place[0] in member.topics)
        return frozenset(places[members.index(member) :: len(members)])

    def remove(self, member: MemorySource) -> None:
        if member in self._members[member.group]:
            self._members[member.group].remove(member)


class MemorySource:
    """A member of a group. Like a Kafka consumer, it learns of a rebalance when it polls."""

    def __init__(self, broker: MemoryBroker, topics: Sequence[str], group: str) -> None:
        self.group = group
        self.topics = topics
        self._broker = broker
        self._positions: dict[_Place, int] = {}

    def poll(self, max_records: int, timeout: timedelta) -> list[Record]:  # noqa: ARG002  (nothing to wait for)
        """See `services.stream.Source`."""
        mine = self._broker.assignment(self)
        if mine != self._positions.keys():
            committed = self._broker.committed[self.group]
            self._positions = {place: committed.get(place, 0) for place in sorted(mine)}
        records: list[Record] = []
        for place, position in self._positions.items():
            found = self._broker.read(place, position, max_records - len(records))
            self._positions[place] = position + len(found)
            records += found
        return records

    def commit(self, records: Sequence[Record]) -> None:
        """See `services.stream.Source`. Partitions that have gone to another member are left out."""
        committed = self._broker.committed[self.group]
        mine = self._broker.assignment(self) & self._positions.keys()  # what it had when it last polled
        ends: dict[_Place, int] = {}
        for record in records:
            place = (record.topic, record.partition)
            ends[place] = max(record.offset + 1, ends.get(place, 0))
        committed.update({place: end for place, end in ends.items() if place in mine})

    def close(self) -> None:
        """Leaves the group, as a process that ends or is killed does."""
        self._broker.remove(self)


class MemorySink:
    """Appends to the broker's topics."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        """See `services.stream.Sink`."""
        for record in outgoing:
            self._broker.append(record)

    def close(self) -> None:
        """Nothing to let go of."""
