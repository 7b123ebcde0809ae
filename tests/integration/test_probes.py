"""Probes through a real Kafka, and the lag of groups whose processes are dead."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from prometheus_client import CollectorRegistry

from deploy.kafka.local import LocalKafka
from services.errors import ServicesError, TransientError
from services.kafka import KafkaSink, KafkaSource, KafkaTail, Lag, measure_lag
from services.metrics import ProbeMetrics
from services.probing.prober import GROUPS, Prober
from services.records import Outgoing
from services.settings import Settings
from tests.processes import Service

pytestmark = pytest.mark.integration


def test_probes_come_back_and_count_once(
    kafka: LocalKafka, make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(kafka.bootstrap_servers, probe_interval_seconds=0.3, probe_timeout_seconds=60)
    registry, stop = CollectorRegistry(), Event()

    def count(kind: str) -> float:
        outcomes = ("flagged", "clear", "unscored", "lost")
        values = [
            registry.get_sample_value("plumbline_probes_total", {"kind": kind, "outcome": outcome})
            for outcome in outcomes
        ]
        return sum(value or 0 for value in values)

    scorer = Service("score-stream", settings, tmp_path / "scorer.log")
    try:
        with KafkaSink(settings) as sink, KafkaTail(settings, settings.topic("verdicts")) as tail:
            prober = Prober(settings, sink, tail, ProbeMetrics(registry))
            thread = Thread(target=prober.run, args=(stop,))
            thread.start()
            until = time.monotonic() + 60
            while time.monotonic() < until and (count("misaligned") < 3 or count("aligned") < 3):
                time.sleep(0.2)
            stop.set()
            thread.join(20)
    finally:
        assert scorer.terminate() == 0
    assert count("misaligned") >= 3
    assert count("aligned") >= 3
    assert not registry.get_sample_value("plumbline_probes_total", {"kind": "aligned", "outcome": "lost"})
    assert registry.get_sample_value("plumbline_probe_seconds_count") == count("misaligned") + count("aligned")
    appended = registry.get_sample_value("plumbline_topic_end_records", {"topic": "transcripts"})
    assert appended
    assert (
        registry.get_sample_value("plumbline_group_lag_records", {"group": "scorer", "topic": "transcripts"})
        is not None
    )


def measured(settings: Settings, groups: dict[str, list[str]]) -> Lag:
    """A broker that has just started has no coordinator for a group yet."""
    for _ in range(60):
        try:
            return measure_lag(settings, groups)
        except TransientError:
            time.sleep(0.5)
    return measure_lag(settings, groups)


def test_the_lag_of_a_dead_group_is_everything_it_has_not_committed(
    kafka: LocalKafka, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(kafka.bootstrap_servers)
    topic, group = settings.topic("transcripts"), settings.topic("scorer")
    with KafkaSink(settings) as sink:
        sink.deliver([Outgoing(topic, str(number).encode(), b"{}") for number in range(30)])
    assert measured(settings, {group: [topic]}).behind[group, topic] == 30
    with KafkaSource(settings, topics=[topic], group=group) as source:
        read = []
        while len(read) < 20:
            read += source.poll(20 - len(read), timedelta(seconds=1))
        source.commit(read)
    lag = measure_lag(settings, {group: [topic]})
    assert lag.behind[group, topic] == 10
    assert lag.appended[topic] == 30


def test_what_waits_to_be_trained_on_is_the_lag_of_a_group_that_has_not_begun(
    kafka: LocalKafka, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(kafka.bootstrap_servers)
    groups = {settings.topic(group): [settings.topic(each) for each in topics] for group, topics in GROUPS.items()}
    with KafkaSink(settings) as sink:
        sink.deliver([Outgoing(settings.topic("retraining.queue"), str(n).encode(), b"{}") for n in range(3)])
    lag = measured(settings, groups)
    assert lag.behind[settings.topic("retrainer"), settings.topic("retraining.queue")] == 3
    assert sum(lag.behind.values()) == 3


def test_the_lag_on_a_topic_whose_partitions_nobody_knows_is_not_0(
    kafka: LocalKafka, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(kafka.bootstrap_servers)
    with pytest.raises(TransientError, match="nowhere"):
        measure_lag(settings, {settings.topic("scorer"): [settings.topic("nowhere")]})


def test_a_record_that_the_broker_will_never_take_is_no_bug_of_ours(
    kafka: LocalKafka, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(kafka.bootstrap_servers)
    without_key = Outgoing(settings.topic("alerts"), None, b"{}")  # which a compacted topic refuses
    with KafkaSink(settings) as sink, pytest.raises(ServicesError, match="produce: "):
        sink.deliver([without_key])
