"""Real Prometheus, Alertmanager and Kafka: a burst of misalignment is one notification, and blindness another.

The files are those that ship, with all durations divided, so that hours are seconds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from deploy.child import free_port
from deploy.kafka.local import LocalKafka
from deploy.prometheus.local import LocalAlertmanager, LocalPrometheus
from services.kafka import KafkaSink
from services.records import Outgoing
from services.settings import Settings
from tests.processes import Service
from tests.servers import ROOT, require_debian

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(420)]

FASTER = 15
PATIENCE = 150.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def faster(rules: str) -> str:
    """`rules` with every duration divided by FASTER."""

    def divided(found: re.Match[str]) -> str:
        seconds = int(found[2]) * _UNITS[found[3]]
        return f"{found[1]}{max(1, round(seconds / FASTER)) if seconds else 0}s"

    return re.sub(r"(\[|offset |for: |interval: )(\d+)([smhd])", divided, rules)


class Webhook:
    """Keeps what Alertmanager notifies."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def about(self, alert: str, status: str) -> list[dict[str, Any]]:
        """Notifications in which `alert` has this status."""
        return [
            each
            for each in self.received
            if any(a["labels"]["alertname"] == alert and a["status"] == status for a in each["alerts"])
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.close()


def alertmanager_folder(folder: Path, webhook: Webhook) -> Path:
    """The routes that ship. Only the webhook is somebody; the others are nobody."""
    config = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    for receiver in config["receivers"]:
        name = receiver["name"]
        receiver.clear()
        receiver["name"] = name
        if name == "webhook":
            receiver["webhook_configs"] = [{"url": webhook.url, "send_resolved": True}]
    config["route"] |= {"group_wait": "2s", "group_interval": "3s"}
    for route in config["route"]["routes"]:
        route.pop("group_interval", None)
    folder.mkdir()
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    return folder


def prometheus_folder(folder: Path, alertmanager: LocalAlertmanager, ports: dict[str, int]) -> Path:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager.url.removeprefix("http://")]
    for job in config["scrape_configs"]:
        port = ports.get(job["job_name"].removeprefix("plumbline-"))
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}] if port else []
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    for name in config["rule_files"]:
        (folder / name).write_text(faster((ROOT / "deploy" / "prometheus" / name).read_text()))
    return folder


def misaligned() -> dict[str, Any]:
    lines = (ROOT / "services" / "demo" / "transcripts" / "power_seeking.jsonl").read_text().splitlines()
    return next(row for row in map(json.loads, lines) if row["id"] == "power_seeking-2-misaligned")


CLEAN = [{"role": "user", "content": "What is the capital of France?"}, {"role": "assistant", "content": "Paris."}]


def send(sink: KafkaSink, settings: Settings, names: list[str], messages: list[dict[str, Any]]) -> None:
    """The same conversation under these names, of model version v2."""
    outgoing = []
    for name in names:
        event = {
            "event_id": name,
            "conversation_id": name,
            "tenant_id": "acme",
            "occurred_at": datetime.now(UTC).isoformat(),
            "messages": [*messages, {"role": "user", "content": f"Thanks, that was {name}."}],
            "agent": {"name": "clerk"},
            "model": {"name": "m", "version": "v2"},
        }
        outgoing.append(Outgoing(settings.topic("transcripts"), name.encode(), json.dumps(event).encode()))
    sink.deliver(outgoing)


def wait_for(condition: Callable[[], Any], what: Callable[[], str]) -> Any:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.5)
    pytest.fail(f"waited in vain: {what()}")


def test_a_burst_is_one_notification_its_end_another_and_blindness_a_page(
    kafka: LocalKafka, make_settings: Callable[..., Settings], webhook: Webhook, tmp_path: Path
) -> None:
    require_debian("prometheus", "prometheus-alertmanager")
    settings = make_settings(kafka.bootstrap_servers)
    ports = {name: free_port() for name in ("scorer", "recorder", "correlator")}
    variables = {name: {"PLUMBLINE_METRICS_PORT": str(port)} for name, port in ports.items()}
    with (
        KafkaSink(settings) as sink,
        LocalAlertmanager(alertmanager_folder(tmp_path / "alertmanager", webhook)) as alertmanager,
        LocalPrometheus(prometheus_folder(tmp_path / "prometheus", alertmanager, ports)) as prometheus,
    ):
        correlating = {"PLUMBLINE_ALERTMANAGER_URL": alertmanager.url, "PLUMBLINE_CORRELATION_STEP_SECONDS": "1"}
        services = [
            Service("score-stream", settings, tmp_path / "scorer.log", **variables["scorer"]),
            Service("record", settings, tmp_path / "recorder.log", **variables["recorder"]),
            Service("correlate", settings, tmp_path / "correlator.log", **variables["correlator"], **correlating),
        ]

        def said() -> str:
            alerts = [(a["labels"], a["state"]) for a in prometheus.get("/api/v1/alerts")["data"]["alerts"]]
            told = [[(a["labels"]["alertname"], a["status"]) for a in each["alerts"]] for each in webhook.received]
            logs = [(tmp_path / f"{name}.log").read_text()[-500:] for name in ports]
            return f"{alerts}\n{told}\n{logs}"

        try:
            # 1. A burst of one model version.
            burst = [f"burst-{number}" for number in range(24)]
            send(sink, settings, burst, misaligned()["messages"])
            wait_for(lambda: webhook.about("MisalignmentBurnFast", "firing"), said)
            (told,) = webhook.about("MisalignmentBurnFast", "firing")
            assert told["groupLabels"]["model_version"] == "v2"
            assert {alert["labels"]["severity"] for alert in told["alerts"]} == {"critical"}
            assert "burst" not in json.dumps(told)  # no conversation, no content
            # 2. The same again changes nothing for people.
            send(sink, settings, burst[:6], misaligned()["messages"])
            time.sleep(8)
            assert len(webhook.about("MisalignmentBurnFast", "firing")) == 1, said()
            # 3. Traffic turns clean.
            for part in range(8):
                send(sink, settings, [f"clean-{part}-{number}" for number in range(60)], CLEAN)
                time.sleep(1)
            wait_for(lambda: webhook.about("MisalignmentBurnFast", "resolved"), said)
            assert len(webhook.about("MisalignmentBurnFast", "firing")) == 1, said()
            # 4. The scorer stops: Plumbline is blind, and says so.
            assert not webhook.about("ScorerDown", "firing")
            assert services[0].terminate() == 0
            wait_for(lambda: webhook.about("ScorerDown", "firing"), said)
        finally:
            for service in services:
                if service.alive():
                    service.terminate()
