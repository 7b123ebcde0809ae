"""Broker, scorer, recorder and triage as processes of their own; transcripts through them; what came out of it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from rich.console import Console
from rich.live import Live
from rich.text import Text

from deploy.child import Child, answers, free_port
from services.accounts.accounts import Accounts
from services.accounts.people import FIRST_ADMIN
from services.demo.shipped import shipped_files
from services.embedded_broker import EmbeddedBroker
from services.errors import ServicesError
from services.kafka import create_topics
from services.replay import replay
from services.schema import upgrade
from services.settings import Settings, load_settings
from services.store import Coverage, Database, Store, open_engine

_MARKER: Final = ".plumbline-demo"
_START_LIMIT: Final = timedelta(minutes=2)
_QUIET_LIMIT: Final = timedelta(minutes=2)
_STOP: Final = [(signal.SIGTERM, timedelta(seconds=30))]


@dataclass(frozen=True, slots=True)
class Triage:
    """Where the page is, and who may use it. The password is told once, and kept nowhere."""

    url: str
    account: str
    password: str


class Demo:
    """Everything that is running. `metrics` names each service's `/metrics`."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        store: Store,
        metrics: dict[str, str],
        services: dict[str, Child],
        triage: Triage,
    ) -> None:
        self._folder = folder
        self.settings = settings
        self.store = store
        self.metrics = metrics
        self.triage = triage
        self._services = services

    def replay_shipped(self, console: Console) -> Coverage:
        """Sends the shipped transcripts and returns when all have a verdict, showing progress all the while.

        Raises `ServicesError` where a service ends, or nothing more comes out for `_QUIET_LIMIT`.
        """
        sent = replay(self.settings, [str(path) for path in shipped_files()]).sent
        began = changed = time.monotonic()
        coverage = self.store.coverage()
        with _live_line(console) as show:
            while coverage.events < sent:
                time.sleep(0.2)
                self._check(changed)
                latest = self.store.coverage()
                if latest.events > coverage.events:
                    changed = time.monotonic()
                coverage = latest
                show(_progress(coverage, sent, time.monotonic() - began))
        return coverage

    def _check(self, changed: float) -> None:
        for name, child in self._services.items():
            if not child.running():
                raise ServicesError(f"the {name} ended; its log is {self._folder / name}.log")
        if time.monotonic() - changed > _QUIET_LIMIT.total_seconds():
            raise ServicesError(f"no further verdict came for two minutes; the logs are in {self._folder}")


@contextmanager
def running_demo(folder: Path) -> Iterator[Demo]:
    """Starts everything in `folder`, from nothing; stops everything in the end."""
    _empty(folder)
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(folder / "broker.log"))
        database = f"sqlite:///{folder.resolve() / 'plumbline.db'}"
        settings = load_settings(
            kafka_bootstrap_servers=broker.bootstrap_servers,
            kafka_session_timeout_seconds=2,  # on this broker, joining a group takes half of it
            topic_partitions=2,
            database_url=SecretStr(database),
            web_port=_port(8600),
        )
        engine = open_engine(database)
        upgrade(engine)
        create_topics(settings)
        services: dict[str, Child] = {}
        metrics: dict[str, str] = {}
        ports: list[int] = []
        for name, command in (("scorer", "score-stream"), ("recorder", "record"), ("triage", "triage")):
            port = _port(9464 + len(services))
            ports.append(port)
            child = _service(command, settings, folder / f"{name}.log", port)
            stack.callback(child.end, _STOP)
            services[name], metrics[name] = child, f"http://127.0.0.1:{port}/metrics"
        for child, port in zip(services.values(), ports, strict=True):
            child.wait_until(partial(answers, port), _START_LIMIT)
        yield Demo(folder, settings, Store(engine), metrics, services, _triage(settings, Database(engine)))


def _triage(settings: Settings, database: Database) -> Triage:
    """The page, and a local account for it."""
    people = Accounts.configured(settings, database, lambda: datetime.now(UTC)).people
    password = people.ensure_first_admin() or ""
    return Triage(f"http://127.0.0.1:{settings.web_port}/", FIRST_ADMIN, password)


def _empty(folder: Path) -> None:
    """A folder for one demonstration. Raises `ServicesError` rather than remove what another one did not leave."""
    if folder.exists():
        if any(folder.iterdir()) and not (folder / _MARKER).exists():
            raise ServicesError(f"{folder} is not empty, and not left from a demo: name another with --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _MARKER).touch()


def _port(wanted: int) -> int:
    return free_port() if answers(wanted) else wanted


def _service(command: str, settings: Settings, log: Path, port: int) -> Child:
    environment = {
        **os.environ,
        "PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "PLUMBLINE_KAFKA_SESSION_TIMEOUT_SECONDS": str(settings.kafka_session_timeout_seconds),
        "PLUMBLINE_DATABASE_URL": settings.database_url.get_secret_value(),
        "PLUMBLINE_METRICS_PORT": str(port),
        "PLUMBLINE_WEB_PORT": str(settings.web_port),
        "PLUMBLINE_BATCH_MAX_RECORDS": "4",  # for the eye: larger batches are faster, and their progress comes in leaps
    }
    argv = [sys.executable, "-m", "services.cli", command]
    return Child(argv, log, cwd=Path.cwd(), env=environment, orphaned=signal.SIGTERM)


@contextmanager
def _live_line(console: Console) -> Iterator[Callable[[str], None]]:
    """One line that is rewritten on a terminal; elsewhere a line whenever it has something new to say."""
    if console.is_terminal:
        with Live(Text(""), console=console, transient=True) as live:
            yield lambda line: live.update(Text(line))
        return
    last = ""

    def show(line: str) -> None:
        nonlocal last
        done = line.split(",", 1)[0]
        if done != last:
            console.print(line)
            last = done

    yield show


def _progress(coverage: Coverage, sent: int, seconds: float) -> str:
    return (
        f"{coverage.events}/{sent} events, {coverage.events / max(seconds, 0.1):.1f} events/s, "
        f"coverage {coverage.events / max(sent, 1):.0%}, {coverage.flagged} flagged"
    )
