"""The past of a topic comes in the order of time, whatever partition it lies in, from both brokers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.kafka import History, KafkaSink
from services.records import Outgoing
from services.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.long]


@pytest.fixture(params=["kafka", "embedded"])
def settings(request: pytest.FixtureRequest, make_settings: Callable[..., Settings]) -> Settings:
    broker: Any = request.getfixturevalue(request.param)
    return make_settings(broker.bootstrap_servers)


def fill(settings: Settings, numbers: range) -> None:
    topic = settings.topic("verdicts")
    with KafkaSink(settings) as sink:
        for number in numbers:
            sink.deliver([Outgoing(topic, f"key-{number * 7}".encode(), str(number).encode())])
            time.sleep(0.003)  # a timestamp of its own


def test_records_come_in_the_order_of_time_from_a_moment_to_a_moment(settings: Settings) -> None:
    before = datetime.now(UTC)
    fill(settings, range(40))
    time.sleep(0.05)
    middle = datetime.now(UTC)
    fill(settings, range(40, 100))
    end = datetime.now(UTC)
    fill(settings, range(100, 110))
    topic = settings.topic("verdicts")
    with History(settings, topic) as history:
        everything = list(history.between(before - timedelta(minutes=1), end))
    assert [int(record.value or b"") for record in everything] == list(range(100))
    assert len({record.partition for record in everything}) == 3
    with History(settings, topic) as history:
        assert [int(record.value or b"") for record in history.between(middle, end)] == list(range(40, 100))
    with History(settings, topic) as history:
        assert list(history.between(datetime.now(UTC), datetime.now(UTC))) == []
