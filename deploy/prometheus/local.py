"""Prometheus and Alertmanager on this machine, for tests and for trying rules out."""

from __future__ import annotations

import json
import shutil
import signal
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from deploy.child import Child, free_port

PROGRAMS: Final = ("prometheus", "prometheus-alertmanager")
_PATIENCE: Final = timedelta(seconds=30)


def missing_programs() -> list[str]:
    """Which of the two are not installed; Debian's packages have these names."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


class _Server:
    """A process that answers HTTP while it runs."""

    def __init__(self, folder: Path, argv: list[str], port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._child = Child(argv, folder / "server.log", cwd=folder)

    def __enter__(self) -> Self:
        """Raises `LaunchError` with the end of the server's log."""
        self._child.wait_until(self._ready, _PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.end([(signal.SIGTERM, _PATIENCE)])

    def _ready(self) -> bool:
        try:
            return self._request("/-/ready")[0] == HTTPStatus.OK
        except OSError:
            return False

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return json.loads(self._request(path)[1])

    def _request(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class LocalPrometheus(_Server):
    """A Prometheus with `folder/prometheus.yml` as its configuration."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        argv = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        super().__init__(folder, argv, port)


class LocalAlertmanager(_Server):
    """An Alertmanager with `folder/alertmanager.yml` as its configuration, and no cluster."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        argv = [
            "prometheus-alertmanager",
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        super().__init__(folder, argv, port)
