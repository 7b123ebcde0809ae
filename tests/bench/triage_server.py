"""The triage service as a process of its own, and somebody who may use it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from os import environ
from pathlib import Path
from signal import SIGTERM

from deploy.child import Child, answers
from services.settings import Settings


@contextmanager
def serving(settings: Settings, folder: Path, **variables: str) -> Iterator[str]:
    """The address of `plumbline triage`, which runs until the end of the block."""
    environment = {
        **environ,
        "PLUMBLINE_DATABASE_URL": settings.database_url.get_secret_value(),
        "PLUMBLINE_WEB_PORT": str(settings.web_port),
        "PLUMBLINE_METRICS_PORT": str(settings.metrics_port),
        "PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "PLUMBLINE_TOPIC_PREFIX": settings.topic_prefix,
        "PLUMBLINE_LOGIN_ATTEMPTS": "1000",
        **variables,
    }
    argv = [sys.executable, "-m", "services.cli", "triage"]
    child = Child(argv, folder / "triage.log", cwd=Path.cwd(), env=environment, orphaned=SIGTERM)
    try:
        child.wait_until(partial(answers, settings.web_port), timedelta(seconds=60))
        yield f"http://127.0.0.1:{settings.web_port}"
    finally:
        child.end([(SIGTERM, timedelta(seconds=20))])
