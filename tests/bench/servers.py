"""The real processes that are measured, and what can be seen of them from outside."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kafka import KafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from deploy.child import Child, answers, free_port
from services.kafka import create_topics
from services.settings import Settings, load_settings

ROOT: Final = Path(__file__).resolve().parents[2]
_START_LIMIT: Final = timedelta(minutes=3)
_STALL_LIMIT: Final = timedelta(minutes=3)
_STEP_SECONDS: Final = "plumbline_batch_step_seconds_sum"
_WINDOWS: Final = "plumbline_windows_total"
_STOP: Final = ((signal.SIGTERM, timedelta(seconds=30)),)


class BenchError(RuntimeError):
    """Something under measurement ended or stalled, so that there is nothing to report."""


class Place:
    """One broker and one folder; every measurement gets topics of its own, with nothing in them."""

    def __init__(self, bootstrap_servers: str, folder: Path) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._folder = folder
        self._taken = 0

    def fresh(self, name: str, **overrides: object) -> Settings:
        """Settings with new topics, which exist, and a new database, which does not."""
        self._taken += 1
        prefix = f"bench.{self._taken}.{name}."
        settings = load_settings(
            kafka_bootstrap_servers=self._bootstrap_servers,
            topic_prefix=prefix,
            database_url=f"sqlite:///{self.database(prefix)}",
            **overrides,
        )
        create_topics(settings)
        return settings

    def database(self, prefix: str) -> Path:
        return self._folder / f"{prefix}db"

    @contextmanager
    def service(self, command: str, settings: Settings) -> Iterator[Service]:
        """`plumbline COMMAND` as a process of its own, ready; it is asked to stop in the end."""
        port = free_port()
        argv = [sys.executable, "-m", "services.cli", command]
        environment = {**_environment(settings), "PLUMBLINE_METRICS_PORT": str(port)}
        with self.process(f"{settings.topic_prefix}{command}", argv, environment) as child:
            child.wait_until(partial(answers, port), _START_LIMIT)
            yield Service(child, port)

    @contextmanager
    def process(self, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> Iterator[Child]:
        """Any program, from the repository's root."""
        log = self._folder / f"{name}.log"
        child = Child(argv, log, cwd=ROOT, env={**os.environ, **environment}, orphaned=signal.SIGTERM)
        try:
            yield child
        except BenchError as error:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
            raise BenchError(f"{error}; the end of the log of {name}:\n{tail}") from None
        finally:
            child.end(_STOP)


@dataclass(frozen=True, slots=True)
class Work:
    """What a scorer says that it did: seconds by step of the stream, and windows by how far they went."""

    seconds: dict[str, float]
    windows: dict[str, float]


class Service:
    """A running scorer or recorder."""

    def __init__(self, child: Child, metrics_port: int) -> None:
        self.child = child
        self._metrics_port = metrics_port

    def work(self) -> Work:
        """From the start until now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        return Work(
            seconds={each.labels["step"]: each.value for each in samples if each.name == _STEP_SECONDS},
            windows={each.labels["stage"]: each.value for each in samples if each.name == _WINDOWS},
        )


class RecordCount:
    """How many records a topic holds. Asks the broker for offsets alone, so that looking costs next to nothing."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, client_id="bench")
        name = settings.topic(topic)
        self._partitions = [TopicPartition(name, number) for number in range(settings.topic_partitions)]

    def __call__(self) -> int:
        return sum(self._consumer.end_offsets(self._partitions).values())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()


def wait_for(wanted: int, count: Callable[[], int], *children: Child) -> None:
    """Returns when `count()` reaches `wanted`. Raises `BenchError` where a child ends or the count stands still."""
    latest, moved = -1, time.monotonic()
    while latest < wanted:
        now = count()
        if now > latest:
            latest, moved = now, time.monotonic()
        if not all(child.running() for child in children):
            raise BenchError(f"a process under measurement ended at {latest} of {wanted}")
        if time.monotonic() - moved > _STALL_LIMIT.total_seconds():
            raise BenchError(f"nothing moved for {_STALL_LIMIT}: {latest} of {wanted}")
        time.sleep(0.2)


def _environment(settings: Settings) -> dict[str, str]:
    """What differs from the environment that all settings were read from."""
    return {
        "PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "PLUMBLINE_TOPIC_PREFIX": settings.topic_prefix,
        "PLUMBLINE_DATABASE_URL": settings.database_url.get_secret_value(),
        "PLUMBLINE_BATCH_MAX_RECORDS": str(settings.batch_max_records),
    }
