"""Rules, routes and runbooks agree with the catalogue and with what is exported; the servers' own tools accept them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from alerting.catalogue import CATALOGUE
from tests.promql import FROM_SCRAPING, exported, grouped_labels, matched_labels, metrics_in
from tests.servers import ROOT, require_debian

PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
FILES = ("recording.yml", "misalignment.yml", "blindness.yml")


def rules() -> Iterator[dict[str, Any]]:
    for file in FILES:
        for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]:
            yield from group["rules"]


RULES = list(rules())
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
ALERTS = [rule for rule in RULES if "alert" in rule]


def test_every_metric_in_a_rule_is_exported_or_recorded() -> None:
    known = exported().keys() | RECORDED
    unknown = {
        name: rule.get("alert", rule.get("record")) for rule in RULES for name in metrics_in(rule["expr"]) - known
    }
    assert not unknown
    assert {"plumbline_flagged_events_total", "plumbline:coverage:ratio10m"} <= {
        name for rule in RULES for name in metrics_in(rule["expr"])
    }


def test_every_label_in_a_rule_is_one_of_its_metric() -> None:
    labels = exported()
    everywhere = frozenset().union(*labels.values()) | FROM_SCRAPING
    for rule in RULES:
        for name, label in matched_labels(rule["expr"]):
            assert label in labels.get(name, everywhere) | FROM_SCRAPING, (rule, name, label)
        assert grouped_labels(rule["expr"]) <= everywhere, rule


def test_recorded_names_are_used_or_for_people() -> None:
    used = {name for rule in RULES for name in metrics_in(rule["expr"])}
    assert RECORDED - used <= {
        "plumbline:screen_pass:ratio10m",
        "plumbline:detection_seconds:p50_10m",
        "plumbline:detection_seconds:p99_10m",
    }


def test_the_catalogue_and_the_rules_are_the_same_alerts() -> None:
    expected = {kind.name: kind for kind in CATALOGUE.values() if kind.source == "prometheus"}
    assert {rule["alert"] for rule in ALERTS} == expected.keys()
    for rule in ALERTS:
        kind = expected[rule["alert"]]
        assert rule["labels"] == {"severity": kind.severity.value, "category": kind.category, "plumbline": "true"}
        assert rule["annotations"]["summary"] == kind.summary
        assert (ROOT / rule["annotations"]["runbook"]).is_file()


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_alert_has_a_runbook_that_says_what_to_do(name: str) -> None:
    page = (RUNBOOKS / f"{name}.md").read_text()
    places = [page.index(f"## {heading}") for heading in ("What it means", "What to look at", "What to do")]
    assert places == sorted(places)
    assert page.startswith(f"# {name}\n")
    assert f"[{name}]({name}.md)" in (RUNBOOKS / "README.md").read_text()


def test_there_is_no_runbook_without_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == CATALOGUE.keys()


def test_every_alert_of_the_catalogue_has_a_test_in_promtool() -> None:
    tests = "".join(path.read_text() for path in (PROMETHEUS / "tests").glob("*.yml"))
    assert not [rule["alert"] for rule in ALERTS if rule["alert"] not in tests]


@pytest.mark.parametrize(
    "command",
    [
        ("promtool", "check", "rules", *(f"deploy/prometheus/{name}" for name in FILES)),
        ("promtool", "check", "config", "deploy/prometheus/prometheus.yml"),
        (
            "promtool",
            "test",
            "rules",
            "deploy/prometheus/tests/misalignment.yml",
            "deploy/prometheus/tests/blindness.yml",
        ),
        ("amtool", "check-config", "deploy/alertmanager/alertmanager.yml"),
    ],
    ids=lambda command: "-".join(command[:3]),
)
def test_the_servers_own_tools_accept_the_files(command: tuple[str, ...]) -> None:
    require_debian(command[0])
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_routes_name_receivers_that_exist_and_hold_no_secret() -> None:
    text = (ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text()
    config = yaml.safe_load(text)
    receivers = {receiver["name"] for receiver in config["receivers"]}
    assert {route["receiver"] for route in config["route"]["routes"]} <= receivers
    assert not [word for word in ("routing_key:", "api_url:", "password:") if word in text]
