"""What every broker promises the stream: the one in memory, the embedded one and Apache Kafka alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.errors import ServicesError, TooLargeError
from services.kafka import KafkaSink, KafkaSource
from services.memory import MemoryBroker
from services.records import Outgoing, Record
from services.settings import MEBIBYTE

PATIENCE = 40.0
MOMENT = timedelta(milliseconds=100)


class Broker:
    """What the tests need of a broker; closes what it opened."""

    def __init__(
        self, topic: str, source: Callable[[str, str], Any], sink: Callable[[], Any], stack: ExitStack
    ) -> None:
        self.topic = topic
        self._source = source
        self._sink = sink
        self._stack = stack

    def member(self, group: str = "group") -> Any:
        return self._stack.enter_context(_Closing(self._source(self.topic, group)))

    def missing(self) -> Any:
        return self._source("no-such-topic", "group")

    def send(self, *records: Outgoing) -> None:
        with _Closing(self._sink()) as sink:
            sink.deliver(records)

    def outgoing(self, number: int, **fields: Any) -> Outgoing:
        return Outgoing(self.topic, **{"key": f"k{number % 7}".encode(), "value": f"v{number}".encode(), **fields})


class _Closing(ExitStack):
    def __init__(self, thing: Any) -> None:
        super().__init__()
        self._thing = thing

    def __enter__(self) -> Any:
        return self._thing

    def __exit__(self, *details: object) -> None:
        self._thing.close()


def _memory(stack: ExitStack, **_: Any) -> Broker:
    memory = MemoryBroker(partitions=3, max_bytes=12 * MEBIBYTE)
    memory.create_topics("topic")
    return Broker("topic", lambda topic, group: memory.source(topic, group=group), memory.sink, stack)


def _kafka_like(stack: ExitStack, settings: Any) -> Broker:
    return Broker(
        settings.topic("transcripts"),
        lambda topic, group: KafkaSource(settings, topics=[topic], group=settings.topic(group)),
        lambda: KafkaSink(settings),
        stack,
    )


@pytest.fixture(
    params=[
        "memory",
        pytest.param("embedded", marks=pytest.mark.integration),
        pytest.param("kafka", marks=pytest.mark.integration),
    ]
)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with ExitStack() as stack:
        if request.param == "memory":
            yield _memory(stack)
        else:
            server = request.getfixturevalue(request.param)
            yield _kafka_like(stack, request.getfixturevalue("make_settings")(server.bootstrap_servers))


def collect(members: Sequence[Any], wanted: int) -> list[list[Record]]:
    """What each member polls until all have `wanted` together."""
    found: list[list[Record]] = [[] for _ in members]
    deadline = time.monotonic() + PATIENCE
    while sum(map(len, found)) < wanted and time.monotonic() < deadline:
        for records, member in zip(found, members, strict=True):
            records += member.poll(10, MOMENT)
    return found


def test_records_of_a_key_come_in_order_and_whole(broker: Broker) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    sent = [broker.outgoing(number, headers=(("h", b"1"), ("leer", b""))) for number in range(50)]
    broker.send(*sent)
    (records,) = collect([broker.member()], 50)
    for key in {record.key for record in sent}:
        values = [record.value for record in records if record.key == key]
        assert values == [record.value for record in sent if record.key == key]
    assert len({(record.partition, record.offset) for record in records}) == 50
    assert all(record.headers == (("h", b"1"), ("leer", b"")) for record in records)
    assert all(record.timestamp > before for record in records)


def test_what_is_not_committed_is_read_again_and_what_is_committed_is_not(broker: Broker) -> None:
    broker.send(*(broker.outgoing(number, key=b"one partition") for number in range(10)))
    first = broker.member()
    (records,) = collect([first], 10)
    first.commit(records[:6])
    first.close()
    (again,) = collect([broker.member()], 4)
    assert [record.value for record in again] == [record.value for record in records[6:]]


def test_another_group_reads_everything(broker: Broker) -> None:
    broker.send(*map(broker.outgoing, range(5)))
    member = broker.member("one")
    (records,) = collect([member], 5)
    member.commit(records)
    assert len(collect([broker.member("other")], 5)[0]) == 5


def test_members_share_the_work_and_one_takes_over_when_the_other_leaves(
    broker: Broker, request: pytest.FixtureRequest
) -> None:
    if "embedded" in request.node.callspec.params.values():
        pytest.skip("the embedded broker promises one member for each group: see services/embedded_broker.py")
    first, second = broker.member(), broker.member()
    deadline = time.monotonic() + PATIENCE
    shares: list[set[int]] = [set(), set()]
    while time.monotonic() < deadline and not (all(shares) and shares[0] | shares[1] == {0, 1, 2}):
        broker.send(*map(broker.outgoing, range(14)))
        for member, share in zip((first, second), shares, strict=True):
            records = member.poll(100, MOMENT)
            member.commit(records)
            share.update(record.partition for record in records)
    assert shares[0]
    assert shares[1]
    second.close()
    broker.send(*(broker.outgoing(number, value=b"after") for number in range(14)))
    taken_over: set[int] = set()
    while time.monotonic() < deadline and taken_over != {0, 1, 2}:
        taken_over.update(record.partition for record in first.poll(100, MOMENT) if record.value == b"after")
    assert taken_over == {0, 1, 2}


def test_committing_nothing_or_what_is_not_ours_does_no_harm(broker: Broker) -> None:
    broker.send(*map(broker.outgoing, range(3)))
    member = broker.member()
    member.commit([])
    member.commit([Record(broker.topic, 0, 99, None, b"", datetime.now(UTC))])  # before it was given any partition
    assert len(collect([member], 3)[0]) == 3


def test_a_record_over_the_limit_is_refused_by_name_and_others_still_go(broker: Broker) -> None:
    with pytest.raises(TooLargeError, match="limit"):
        broker.send(broker.outgoing(1, value=b"x" * (14 * MEBIBYTE)))
    broker.send(broker.outgoing(2))
    assert [record.value for record in collect([broker.member()], 1)[0]] == [b"v2"]


def test_a_large_record_within_the_limit_passes(broker: Broker) -> None:
    value = b"y" * (10 * MEBIBYTE)
    broker.send(broker.outgoing(1, value=value))
    assert collect([broker.member()], 1)[0][0].value == value


def test_a_topic_that_is_not_there_is_an_error_not_silence(broker: Broker) -> None:
    with pytest.raises(ServicesError, match="no-such-topic"):
        broker.missing()
