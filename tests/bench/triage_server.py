"""The triage service as a process of its own, and somebody who may use it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from os import environ
from pathlib import Path
from signal import SIGTERM

import httpx

from deploy.child import Child, answers
from services.accounts.accounts import Accounts
from services.accounts.principal import Role
from services.settings import Settings
from services.store import Database, open_engine


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
        "PLUMBLINE_REQUESTS_PER_MINUTE": "100000",
        **variables,
    }
    argv = [sys.executable, "-m", "services.cli", "triage"]
    child = Child(argv, folder / "triage.log", cwd=Path.cwd(), env=environment, orphaned=SIGTERM)
    try:
        child.wait_until(partial(answers, settings.web_port), timedelta(seconds=60))
        yield f"http://127.0.0.1:{settings.web_port}"
    finally:
        child.end([(SIGTERM, timedelta(seconds=20))])


def account(settings: Settings, url: str) -> httpx.Cookies:
    """Cookies of somebody who has signed in."""
    database = Database(open_engine(settings.database_url.get_secret_value()))
    people = Accounts.configured(settings, database, lambda: datetime.now(UTC)).people
    password = people.create("bench", Role.ADMIN, None, by="bench")
    database.engine.dispose()
    with httpx.Client(base_url=url, follow_redirects=False) as client:
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/login").text)
        form = {"account": "bench", "password": password, "csrf_token": token[1] if token else ""}
        if client.post("/login", data=form).status_code != 303:
            raise SystemExit("nobody could sign in")
        return httpx.Cookies(client.cookies)
