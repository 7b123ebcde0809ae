"""The service is killed in the middle of a decision: the same request again, and it has counted once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from deploy.child import free_port
from deploy.kafka.local import LocalKafka
from services.accounts.accounts import Accounts
from services.accounts.principal import Role
from services.kafka import read_topic
from services.settings import Settings
from services.store import Database, Store, audit, cases, labels, open_engine, outbox
from services.triage.case import CaseState
from tests.processes import environment
from tests.servers import ROOT
from tests.triage_data import event, verdict
from tests.triage_process import STEPS

pytestmark = [pytest.mark.integration, pytest.mark.long]
PATIENCE = 60.0


@contextmanager
def serving(settings: Settings, step: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    more = {"PLUMBLINE_WEB_PORT": str(settings.web_port), "PLUMBLINE_UNDO_SECONDS": "0"}
    argv = [sys.executable, "-m", "tests.triage_process", step, str(folder)]
    with (folder / "triage.log").open("ab") as log:
        started = subprocess.Popen(argv, env=environment(settings) | more, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def asked(url: str, headers: dict[str, str], body: dict[str, Any]) -> httpx.Response:
    """The answer, waiting until somebody answers at all. A connection that breaks in the middle is told as such."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return httpx.post(url, headers=headers, json=body, timeout=30)
        except httpx.ConnectError:
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.mark.parametrize("disposition", ["confirmed", "dismissed"])
@pytest.mark.parametrize("step", STEPS)
def test_a_decision_counts_once_whenever_the_service_dies(
    kafka: LocalKafka,
    make_settings: Callable[..., Settings],
    postgres_copy: str,
    tmp_path: Path,
    step: str,
    disposition: str,
) -> None:
    settings = make_settings(kafka.bootstrap_servers, database_url=SecretStr(postgres_copy), web_port=free_port())
    database = Database(open_engine(postgres_copy))
    Store(database.engine).record([verdict(event("c1"))], [], now=datetime.now(UTC))
    with database.read() as tx:
        member = cases.member(tx, "acme", "c1")
    assert member is not None
    accounts = Accounts.configured(settings, database, lambda: datetime.now(UTC))
    accounts.people.create("ada", Role.TRIAGER, None, by="test")
    made = accounts.tokens.create("ada", "test", Role.TRIAGER, None, timedelta(hours=1), by="test")
    headers = {"Authorization": f"Bearer {made.secret}", "Idempotency-Key": "once"}
    body = {"version": 1, "decision": {"disposition": disposition, "conversation_id": "c1"}}
    url = f"http://127.0.0.1:{settings.web_port}/api/v1/cases/{member.case_id}/decide"

    with serving(settings, step, tmp_path) as first:
        with suppress(httpx.TransportError):
            asked(url, headers, body)
        assert first.wait(PATIENCE) == -9
    with serving(settings, step, tmp_path):
        answer = asked(url, headers, body)
        assert answer.status_code == 200, answer.text
        until = time.monotonic() + PATIENCE
        while sent(database):
            assert time.monotonic() < until
            time.sleep(0.2)
    told = [json.loads(record.value or b"") for record in read_topic(settings, settings.topic("retraining.queue"))]
    expected = ("label", answer.json()["label"]["label_id"], disposition)
    assert [(each["kind"], each["label_id"], each["disposition"]) for each in told] == [expected]
    with database.read() as tx:
        (label,) = labels.of_case(tx, member.case_id)
        case = cases.get(tx, member.case_id)
        decided = [entry for entry in audit.entries(tx) if entry.action == "case.decided"]
        assert audit.verify(tx).broken_at is None
    assert case is not None
    assert (case.state, case.version, label.label_id) == (CaseState(disposition), 2, UUID(told[0]["label_id"]))
    assert len(decided) == 1
    database.engine.dispose()


def sent(database: Database) -> int:
    """What still waits for Kafka."""
    with database.read() as tx:
        return outbox.depth(tx).get("kafka", 0)
