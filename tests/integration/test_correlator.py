"""The correlator against a real Kafka: killed in the middle of a burst, it loses no alert and sends none twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest

from alerting.alert import Alert, State
from deploy.kafka.local import LocalKafka
from detectors.codec import encode_verdict
from detectors.observation import Observation
from detectors.transcript import Agent, Model
from detectors.verdict import Evidence, Status, Verdict
from services.alert_records import alert_of
from services.kafka import KafkaSink, read_topic
from services.records import Outgoing
from services.settings import Settings
from tests.processes import Service

pytestmark = [pytest.mark.integration, pytest.mark.long]

PATIENCE = 150.0


class AlertmanagerStub:
    """Takes what is posted, as Alertmanager's API (version 2) does, and refuses what it would refuse."""

    def __init__(self) -> None:
        self.posts: list[list[dict[str, Any]]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                items = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fine = self.path == "/api/v2/alerts" and all(item["labels"]["alertname"] for item in items)
                stub.posts.append(items)
                self._answer(200 if fine else 400, b"")

            def do_GET(self) -> None:
                self._answer(200, b"[]")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def alertmanager() -> Iterator[AlertmanagerStub]:
    stub = AlertmanagerStub()
    yield stub
    stub.close()


@pytest.fixture
def settings(kafka: LocalKafka, make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(kafka.bootstrap_servers)


def verdict(number: int, *, flagged: bool, at: datetime) -> Outgoing:
    conversation = f"c{number}"
    made = Verdict(
        verdict_id=uuid4(),
        event_id=f"e{number}",
        tenant_id="acme",
        conversation_id=conversation,
        status=Status.SCORED,
        misalignment=0.7 if flagged else 0.02,
        scores={"deception": 0.7 if flagged else 0.01},
        flagged=("deception", "misalignment") if flagged else (),
        evidence=(
            Evidence(message_id="m", message_index=1, part_index=0, start=5, end=9, category="deception", weight=1.0),
        )
        if flagged
        else (),
        bundle_version="b-1",
        observed=Observation(agent=Agent(name="clerk"), model=Model(version="v2")),
        occurred_at=at,
        decided_at=at,
    )
    return Outgoing("", f"acme/{conversation}".encode(), encode_verdict(made))


def send(sink: KafkaSink, settings: Settings, numbers: range, *, flagged: bool, at: datetime) -> None:
    outgoing = [verdict(number, flagged=flagged, at=at) for number in numbers]
    sink.deliver([Outgoing(settings.topic("verdicts"), each.key, each.value) for each in outgoing])


def published(settings: Settings) -> list[Alert]:
    records = sorted(read_topic(settings, settings.topic("alerts")), key=lambda record: record.timestamp)
    return [alert for record in records if (alert := alert_of(record))]


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.3)
    pytest.fail(f"waited in vain for {what}")


def test_killed_in_the_middle_of_a_burst_it_loses_no_alert_and_sends_none_twice(
    settings: Settings, alertmanager: AlertmanagerStub, tmp_path: Path
) -> None:
    log = tmp_path / "correlator.log"
    variables = {"PLUMBLINE_ALERTMANAGER_URL": alertmanager.url, "PLUMBLINE_CORRELATION_STEP_SECONDS": "0.5"}
    # The burst began two minutes ago, so that the condition has held long enough as soon as it is seen.
    now = datetime.now(UTC)
    with KafkaSink(settings) as sink:
        send(sink, settings, range(100), flagged=False, at=now - timedelta(minutes=4))
        service = Service("correlate", settings, log, **variables)
        try:
            for burst in range(6):
                numbers = range(100 + 10 * burst, 110 + 10 * burst)
                send(sink, settings, numbers, flagged=True, at=datetime.now(UTC))
                send(sink, settings, numbers, flagged=True, at=datetime.now(UTC))  # every one of them twice
                time.sleep(1)
                service.restart_after_kill()
            firing = wait_for(
                lambda: [alert for alert in published(settings) if alert.state is State.FIRING], "a firing alert"
            )
            service.restart_after_kill()
            posts = len(alertmanager.posts)
            wait_for(lambda: len(alertmanager.posts) > posts, "a post after the restart")
            time.sleep(2)
        finally:
            assert service.terminate() == 0, log.read_text()[-2000:]
    found = published(settings)
    times_fired = Counter(alert.fingerprint for alert in found if alert.state is State.FIRING)
    assert {alert.alert for alert in found if alert.state is State.FIRING} == {"AgentBurn", "TenantBurn"}
    assert set(times_fired.values()) == {1}, [(alert.alert, alert.state, alert.changed_at) for alert in found]
    items = [item for post in alertmanager.posts for item in post]
    assert {item["labels"]["alertname"] for item in items} == {"AgentBurn", "TenantBurn"}
    # Alertmanager tells people once for one set of labels and one beginning.
    assert len({(json.dumps(item["labels"], sort_keys=True), item["startsAt"]) for item in items}) == 2
    assert firing[0].cases[0].start == 5
