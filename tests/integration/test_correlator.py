"""The correlator against a real Kafka: killed in the middle of a burst, it loses no alert and sends none twice."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest

from alerting.alert import Alert, State
from alerting.closing import Closing
from deploy.kafka.local import LocalKafka
from detectors.codec import encode_verdict
from detectors.observation import Observation
from detectors.transcript import Agent, Model
from detectors.verdict import Evidence, Status, Verdict
from services.alert_records import Judged, alert_of, closing_record, content_of
from services.errors import TransientError
from services.kafka import KafkaSink, committed_offsets, read_topic
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


def verdict(number: int, *, flags: tuple[str, ...] = (), conversation: str | None = None) -> Outgoing:
    """Flagged for `flags`, just now. Each number is an event of its own."""
    conversation = conversation or f"c{number}"
    place = Evidence(message_id="m", message_index=1, part_index=0, start=5, end=9, category="deception", weight=1.0)
    now = datetime.now(UTC)
    made = Verdict(
        verdict_id=uuid4(),
        event_id=f"e{number}",
        tenant_id="acme",
        conversation_id=conversation,
        status=Status.SCORED,
        misalignment=0.7 if flags else 0.02,
        scores=dict.fromkeys(flags, 0.9),
        flagged=(*flags, "misalignment") if flags else (),
        evidence=(place,) if flags else (),
        bundle_version="b-1",
        observed=Observation(agent=Agent(name="clerk"), model=Model(version="v2")),
        occurred_at=now,
        decided_at=now,
    )
    return Outgoing("", f"acme/{conversation}".encode(), encode_verdict(made))


def send(sink: KafkaSink, settings: Settings, *verdicts: Outgoing) -> None:
    sink.deliver([Outgoing(settings.topic("verdicts"), each.key, each.value) for each in verdicts])


class Burst:
    """Flagged verdicts without end, every one of them twice, from a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._over = Event()
        self._thread = Thread(target=self._run)

    def _run(self) -> None:
        with KafkaSink(self._settings) as sink:
            for number in count(1000):
                if self._over.wait(0.1):
                    return
                one = verdict(number, flags=("deception",))
                send(sink, self._settings, one, one)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)


def committed(settings: Settings) -> int:
    try:
        offsets = committed_offsets(settings, settings.topic("correlator"))
    except TransientError:  # a broker that has just started
        return 0
    return sum(offset for (topic, _), offset in offsets.items() if topic == settings.topic("verdicts"))


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
    with KafkaSink(settings) as sink:
        send(sink, settings, *(verdict(number) for number in range(100)))
    service = Service("correlate", settings, log, **variables)
    try:
        with Burst(settings):
            for _ in range(4):
                # Only once it is in the middle: it has joined, and has committed some of what is going on.
                done = committed(settings)
                wait_for(lambda done=done: committed(settings) > max(100, done) + 10, "a part of the burst")
                service.restart_after_kill()
            firing = wait_for(lambda: in_state(settings, State.FIRING), "a firing alert")
        service.restart_after_kill()
        posts = len(alertmanager.posts)
        wait_for(lambda: len(alertmanager.posts) > posts, "a post after the restart")
        wait_for(lambda: judged(settings) > datetime.now(UTC) - timedelta(seconds=5), "everything judged")
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


def test_what_people_close_is_resolved_and_stays_so_after_a_kill_until_something_is_flagged_again(
    settings: Settings, alertmanager: AlertmanagerStub, tmp_path: Path
) -> None:
    log = tmp_path / "correlator.log"
    variables = {"PLUMBLINE_ALERTMANAGER_URL": alertmanager.url, "PLUMBLINE_CORRELATION_STEP_SECONDS": "0.5"}
    service = Service("correlate", settings, log, **variables)
    try:
        with KafkaSink(settings) as sink:
            send(sink, settings, verdict(1, flags=("sabotage",), conversation="grave"))
            (alert,) = wait_for(lambda: in_state(settings, State.FIRING), "an alert")
            assert alert.alert == "CaseFlagged"
            closing = Closing(fingerprint=alert.fingerprint, at=datetime.now(UTC))
            sink.deliver([closing_record(settings.topic("alerts"), closing)])
            (resolved,) = wait_for(lambda: in_state(settings, State.RESOLVED), "its end")
            assert (resolved.closed_at, resolved.changed_at) == (closing.at, closing.at)
            end = closing.at.isoformat()
            wait_for(lambda: [item for post in alertmanager.posts for item in post if item["endsAt"] == end], "a post")
            service.restart_after_kill()
            wait_for(lambda: judged(settings) > closing.at + timedelta(seconds=5), "time to go on")
            assert len(in_state(settings, State.FIRING)) == 1
            send(sink, settings, verdict(2, flags=("sabotage",), conversation="grave"))
            wait_for(lambda: len(in_state(settings, State.FIRING)) == 2, "the alert again")
    finally:
        assert service.terminate() == 0, log.read_text()[-2000:]


def in_state(settings: Settings, state: State) -> list[Alert]:
    return [alert for alert in published(settings) if alert.state is state]


def judged(settings: Settings) -> datetime:
    marks = [content_of(record) for record in read_topic(settings, settings.topic("alerts"))]
    times = [mark.judged_until for mark in marks if isinstance(mark, Judged)]
    return max(times, default=datetime.fromtimestamp(0, UTC))
