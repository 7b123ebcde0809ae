"""A correlator that cannot go on ends, says why, and has committed nothing that it did not finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Event, Thread

import pytest
from prometheus_client import CollectorRegistry

from services import correlate
from services.embedded_broker import EmbeddedBroker
from services.errors import ServicesError
from services.kafka import KafkaSink, committed_offsets
from services.records import Outgoing
from services.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.long]


class FailingSink(KafkaSink):
    """Writes everything but dead letters."""

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        if any(record.topic.endswith(".dead") for record in outgoing):
            raise ServicesError("no room")
        super().deliver(outgoing)


def test_a_record_whose_work_fails_ends_the_process_and_is_not_committed(
    embedded: EmbeddedBroker, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(embedded.bootstrap_servers, topic_partitions=1, correlation_step_seconds=0.5)
    topic, group = settings.topic("verdicts"), settings.topic("correlator")
    with KafkaSink(settings) as sink:
        sink.deliver([Outgoing(topic, b"acme/c", b"not a verdict")] * 3)
    monkeypatch.setattr(correlate, "KafkaSink", FailingSink)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            correlate.correlate(settings, CollectorRegistry(), 0.01, Event())
        except ServicesError as error:
            raised.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert [str(error) for error in raised] == ["no room"]
    time.sleep(1.5)  # a commit interval
    assert not committed_offsets(settings, group).get((topic, 0))
