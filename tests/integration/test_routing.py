"""A real Alertmanager with the routes that ship: what is one notification, and what holds back what."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.local import LocalAlertmanager
from tests.servers import ROOT, require_debian

pytestmark = pytest.mark.integration
BURN = {"alertname": "MisalignmentBurnFast", "severity": "critical", "category": "misalignment", "model_version": "v2"}
AGENT = {"alertname": "AgentBurn", "severity": "high", "category": "misalignment", "source": "correlator"}


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[LocalAlertmanager]:
    require_debian("prometheus-alertmanager")
    config = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(config))
    with LocalAlertmanager(tmp_path) as server:
        yield server


def post(server: LocalAlertmanager, path: str, body: Any) -> None:
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
    finally:
        connection.close()


def fire(server: LocalAlertmanager, *alerts: dict[str, str]) -> None:
    """Posted, and known to Alertmanager."""
    post(server, "/api/v2/alerts", [{"labels": {"plumbline": "true", **labels}} for labels in alerts])
    for _ in range(100):
        if len(server.get("/api/v2/alerts")) == len(alerts):
            return
        time.sleep(0.1)
    pytest.fail("Alertmanager does not know of what was posted")


def held_back(server: LocalAlertmanager) -> set[tuple[str, str]]:
    """(name, tenant or model version) of what some other alert inhibits."""
    return {
        (alert["labels"]["alertname"], alert["labels"].get("tenant", alert["labels"].get("model_version", "")))
        for alert in server.get("/api/v2/alerts")
        if alert["status"]["inhibitedBy"]
    }


def becomes(ask: Callable[[], Any], expected: Any) -> None:
    """Alertmanager takes a moment to group, and to see what holds back what."""
    for _ in range(100):
        if ask() == expected:
            return
        time.sleep(0.1)
    assert ask() == expected


def groups(server: LocalAlertmanager, receiver: str) -> list[list[str]]:
    """Names of the alerts that make one notification of this receiver."""
    return sorted(
        sorted(alert["labels"]["alertname"] for alert in group["alerts"])
        for group in server.get(f"/api/v2/alerts/groups?receiver={receiver}")
    )


def test_a_burst_of_one_version_holds_back_its_symptoms_and_nobody_elses(alertmanager: LocalAlertmanager) -> None:
    fire(
        alertmanager,
        BURN,
        {"alertname": "SevereFlags", "severity": "critical", "category": "misalignment", "model_version": "v2"},
        {"alertname": "SevereFlags", "severity": "critical", "category": "misalignment", "model_version": "v1"},
        {**AGENT, "tenant": "theirs", "agent": "a", "model_version": "v2"},
        {**AGENT, "tenant": "other", "agent": "b", "model_version": "v1"},
        {**AGENT, "tenant": "mixed", "agent": "c"},
        {"alertname": "CaseFlagged", "severity": "high", "category": "misalignment", "model_version": "v2"},
    )
    becomes(lambda: held_back(alertmanager), {("SevereFlags", "v2"), ("AgentBurn", "theirs")})


def test_a_silenced_burst_still_holds_back_its_own(alertmanager: LocalAlertmanager) -> None:
    """As docs/alerting.md says: a silence is for as long as it takes."""
    silence = {
        "matchers": [{"name": "alertname", "value": BURN["alertname"], "isRegex": False}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2100-01-01T00:00:00Z",
        "createdBy": "ada",
        "comment": "known",
    }
    post(alertmanager, "/api/v2/silences", silence)
    agents = [{**AGENT, "tenant": tenant, "model_version": version} for tenant, version in (("t2", "v2"), ("t1", "v1"))]
    fire(alertmanager, BURN, *agents)

    def silenced() -> list[str]:
        alerts = alertmanager.get("/api/v2/alerts")
        return [each["labels"]["alertname"] for each in alerts if each["status"]["silencedBy"]]

    becomes(silenced, [BURN["alertname"]])
    becomes(lambda: held_back(alertmanager), {("AgentBurn", "t2")})


def test_without_a_scorer_what_is_late_for_it_pages_nobody_but_what_was_lost_does(
    alertmanager: LocalAlertmanager,
) -> None:
    names = ("ScorerDown", "CoverageLow", "ConsumerLagGrowing", "NoEvents", "RecordsLost", "ServiceRestarting")
    fire(alertmanager, *({"alertname": name, "severity": "critical", "category": "blindness"} for name in names))
    becomes(lambda: held_back(alertmanager), {("CoverageLow", ""), ("ConsumerLagGrowing", ""), ("NoEvents", "")})


def test_each_way_of_being_blind_is_an_incident_of_its_own_and_one_message(alertmanager: LocalAlertmanager) -> None:
    """On PagerDuty an acknowledged incident would swallow what else goes wrong; the webhook gets one list."""
    names = ("CoverageLow", "RecordsLost", "NotificationsFailing")
    fire(alertmanager, *({"alertname": name, "severity": "critical", "category": "blindness"} for name in names))
    becomes(lambda: groups(alertmanager, "pagerduty"), sorted([name] for name in names))
    becomes(lambda: groups(alertmanager, "webhook"), [sorted(names)])


def test_a_version_that_misbehaves_in_several_ways_is_one_incident(alertmanager: LocalAlertmanager) -> None:
    severe = {**BURN, "alertname": "SevereFlags"}
    fire(alertmanager, BURN, severe, {**severe, "model_version": "v1"})
    becomes(lambda: groups(alertmanager, "pagerduty"), [["MisalignmentBurnFast", "SevereFlags"], ["SevereFlags"]])
