"""Real servers for the tests, started once for the whole run. A pytest plugin, loaded by `tests/conftest.py`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.kafka import local as kafka_local
from deploy.postgres import local as postgres_local
from services.embedded_broker import EmbeddedBroker
from services.kafka import create_topics
from services.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent


def require(missing: list[str], what: str) -> None:
    """Skips the test where tools are missing; in CI (`CI=true`) that is a failure."""
    if missing:
        reason = f"{what} needs {', '.join(missing)}, which this machine does not have"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def require_debian(*programs: str) -> None:
    """Skips the test where a program is missing that comes as a Debian package; `make servers` installs them."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"needs {', '.join(missing)}: run `make servers` as root on Debian or Ubuntu")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka_local.LocalKafka]:
    """A real Apache Kafka."""
    require(kafka_local.missing_tools(), "Apache Kafka")
    libs = kafka_local.resolve_libs(ROOT / "var" / "kafka")
    with kafka_local.LocalKafka(tmp_path_factory.mktemp("kafka"), libs) as broker:
        yield broker


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """The embedded broker."""
    with EmbeddedBroker(tmp_path_factory.mktemp("embedded") / "broker.log") as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_local.LocalPostgres]:
    """A real PostgreSQL."""
    require(postgres_local.missing_tools(), "PostgreSQL")
    with postgres_local.LocalPostgres() as server:
        yield server


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def postgres_url(postgres: postgres_local.LocalPostgres, _numbers: Iterator[int]) -> str:
    """A new, empty database."""
    return postgres.create_database(f"plumbline_{next(_numbers)}")


@pytest.fixture
def postgres_copy(postgres: postgres_local.LocalPostgres, postgres_template: str, _numbers: Iterator[int]) -> str:
    """A new database with the current schema."""
    return postgres.create_database(f"plumbline_{next(_numbers)}", template=postgres_template)


@pytest.fixture
def make_settings(_numbers: Iterator[int], tmp_path: Path) -> Callable[..., Settings]:
    """Settings for one test: topics of its own on the given broker, a database of its own."""

    def make(bootstrap_servers: str, **fields: Any) -> Settings:
        defaults: dict[str, Any] = {
            "kafka_bootstrap_servers": bootstrap_servers,
            "kafka_session_timeout_seconds": 2,
            "topic_prefix": f"test-{next(_numbers)}.",
            "topic_partitions": 3,
            "database_url": SecretStr(f"sqlite:///{tmp_path / 'plumbline.db'}"),
            "metrics_port": 0,
        }
        settings = load_settings(**{**defaults, **fields})
        create_topics(settings)
        return settings

    return make
