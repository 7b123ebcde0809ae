"""Plumbline's own processes, as they run in production."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from services.settings import Settings
from tests.servers import ROOT


def environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "PLUMBLINE_KAFKA_SESSION_TIMEOUT_SECONDS": str(settings.kafka_session_timeout_seconds),
        "PLUMBLINE_TOPIC_PREFIX": settings.topic_prefix,
        "PLUMBLINE_DATABASE_URL": settings.database_url.get_secret_value(),
        "PLUMBLINE_METRICS_PORT": "0",
        "PLUMBLINE_INFERENCE_THREADS": "1",
    }


class Service:
    """One service process, started again whenever it was killed."""

    def __init__(self, command: str, settings: Settings, log: Path, **variables: str) -> None:
        self._argv = [sys.executable, "-m", "services.cli", *command.split()]
        self._environment = environment(settings) | variables
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, env=self._environment, stdout=log, stderr=log, cwd=ROOT, start_new_session=True
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart_after_kill(self) -> None:
        self.kill()
        self.start()

    def terminate(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(60)

    def alive(self) -> bool:
        return self._process.poll() is None
