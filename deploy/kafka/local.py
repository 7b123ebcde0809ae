"""A real Apache Kafka broker on this machine, for tests and CI: one KRaft node, one JVM, its own folder."""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.child import Child, LaunchError, answers, free_port

_POM = Path(__file__).with_name("pom.xml")
_JAVA_AT_LEAST = 17
_MEBIBYTE = 1024 * 1024
_LARGEST_REQUEST = 16 * _MEBIBYTE


def missing_tools() -> list[str]:
    """What this machine lacks to run `LocalKafka`; empty when it can."""
    missing = [] if _java_version() >= _JAVA_AT_LEAST else [f"java >= {_JAVA_AT_LEAST}"]
    return missing if shutil.which("mvn") else [*missing, "mvn"]


def resolve_libs(target: Path) -> Path:
    """The folder under `target` with the broker's jars, brought by Maven once for each content of pom.xml.

    Safe for several processes at once: the first one fetches, the others wait for it. Raises `LaunchError` with
    Maven's output.
    """
    target = target.resolve()
    target.mkdir(parents=True, exist_ok=True)
    libs = target / hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]
    with (target / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libs.is_dir():
            with tempfile.TemporaryDirectory(dir=target) as staging:
                _copy_jars(Path(staging) / "jars")
                (Path(staging) / "jars").rename(libs)
    return libs


class LocalKafka:
    """One Apache Kafka broker and controller in one JVM; port and data survive `stop`, `kill` and `restart`."""

    def __init__(self, data: Path, libs: Path, heap_megabytes: int = 384) -> None:
        """Keep everything, the log included, under `data`; `libs` is what `resolve_libs` returned."""
        self._data = data
        self._libs = libs
        self._heap_megabytes = heap_megabytes
        self._port = free_port()
        self._controller_port = free_port()
        self._child: Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def log(self) -> Path:
        return self._data / "server.log"

    def start(self) -> None:
        """Return when the broker takes requests; raises `LaunchError`. Does nothing while it runs."""
        if self._child is not None and self._child.running():
            return
        settings = self._data / "server.properties"
        if not settings.exists():
            self._format(settings)
        self._child = Child(self._java("kafka.Kafka", str(settings)), self.log, cwd=self._data)
        self._child.wait_until(self._ready, timedelta(seconds=90))

    def stop(self) -> None:
        """Ask the broker to end, and make it end after 20 s."""
        self._end((signal.SIGTERM, timedelta(seconds=20)))

    def kill(self) -> None:
        """End the broker as a power cut would end it, short of losing the operating system's page cache."""
        self._end()

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, *signals: tuple[signal.Signals, timedelta]) -> None:
        if self._child is not None:
            self._child.end(signals)
            self._child = None

    def _ready(self) -> bool:
        return self._child is not None and self._child.logged("Kafka Server started") and answers(self._port)

    def _format(self, settings: Path) -> None:
        """Prepare the storage, and only then put `settings` in place: it marks the folder as formatted."""
        self._data.mkdir(parents=True, exist_ok=True)
        draft = settings.with_suffix(".draft")
        draft.write_text(_server_properties(self._data / "log", self._port, self._controller_port))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        format_storage = [
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            f"--cluster-id={cluster}",
            "-c",
            str(draft),
        ]
        ran = subprocess.run(self._java(*format_storage), capture_output=True, text=True, check=False)
        if ran.returncode:
            raise LaunchError(f"the storage in {self._data} could not be formatted:\n{ran.stdout}{ran.stderr}")
        draft.rename(settings)

    def _java(self, *arguments: str) -> list[str]:
        heap = [f"-Xmx{self._heap_megabytes}m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        logging = ["-Dlog4j2.level=INFO"]  # log4j's own default then writes to stdout, which is our log file
        return ["java", *heap, *logging, "-cp", f"{self._libs}/*", *arguments]


def _server_properties(log: Path, port: int, controller_port: int) -> str:
    """Settings of a single node for tests: nothing replicated, groups formed at once, flushing as Kafka ships it."""
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "log.dirs": log,
        "auto.create.topics.enable": "false",
        "message.max.bytes": _LARGEST_REQUEST,
        "replica.fetch.max.bytes": _LARGEST_REQUEST,
        "replica.fetch.response.max.bytes": _LARGEST_REQUEST,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,  # the default, 6000, makes a test of a dead member wait
        "broker.heartbeat.interval.ms": 250,
        "broker.session.timeout.ms": 1500,  # after `kill`, the restarted broker waits for its old session to end: 9 s
        "log.cleaner.dedupe.buffer.size": 8 * _MEBIBYTE,  # the default, 128 MiB, is a third of our heap
        "num.network.threads": 2,
        "num.io.threads": 2,
        "background.threads": 2,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _java_version() -> int:
    """The major version of the `java` on the path; 0 without one."""
    if not shutil.which("java"):
        return 0
    ran = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', ran.stderr)
    return int(found.group(1)) if found else 0


def _copy_jars(target: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target.resolve()}"]
    ran = subprocess.run(["mvn", "-q", "-B", "-f", os.fspath(_POM), *goal], capture_output=True, text=True, check=False)
    if ran.returncode or not target.is_dir():
        raise LaunchError(f"mvn {goal[0]} failed:\n{ran.stdout}{ran.stderr}")
