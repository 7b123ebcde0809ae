"""Rules, routes and runbooks agree with the catalogue and with what is exported; the servers' own tools accept them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from alerting.catalogue import CATALOGUE
from tests.promql import FROM_SCRAPING, exported, grouped_labels, matched_labels, metrics_in, unknown_values
from tests.servers import ROOT, require_debian

PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
FILES = ("recording.yml", "misalignment.yml", "goodhart.yml", "blindness.yml", "loop.yml")
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))


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


def test_every_value_in_a_rule_is_one_that_its_label_can_have() -> None:
    assert not [(rule, found) for rule in RULES for found in unknown_values(rule["expr"])]
    assert unknown_values('sum(plumbline_group_lag_records{topic="elsewhere"})')
    assert unknown_values('up{job="plumbline-scorers"}')
    assert unknown_values('plumbline_incomplete_verdicts_total{cause!~"empty|says_noting"}') == [
        ("plumbline_incomplete_verdicts_total", "cause", "says_noting")
    ]


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


def fired(test: dict[str, Any]) -> Iterator[str]:
    """Alerts that a test of promtool expects to fire; that one does not fire is no test of it."""
    for case in test.get("alert_rule_test", ()):
        if case["exp_alerts"]:
            yield case["alertname"]
    for case in test.get("promql_expr_test", ()):
        if case["exp_samples"] and 'alertstate="firing"' in case["expr"]:
            samples = " ".join(sample.get("labels", "") for sample in case["exp_samples"])
            yield from re.findall(r'alertname="(\w+)"', case["expr"] + samples)


def test_every_alert_of_the_catalogue_fires_in_a_test_of_promtool() -> None:
    tests = [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    assert {rule["alert"] for rule in ALERTS} == {name for test in tests for name in fired(test)}


def test_that_an_alert_does_not_fire_is_no_test_of_it() -> None:
    quiet = {"expr": 'count(ALERTS{alertname="A", alertstate="firing"})', "exp_samples": []}
    pending = {"expr": 'count(ALERTS{alertname="A"})', "exp_samples": [{"value": 1}]}
    rule = {"alertname": "A", "exp_alerts": []}
    assert not list(fired({"promql_expr_test": [quiet, pending], "alert_rule_test": [rule]}))
    assert list(fired({"promql_expr_test": [quiet | {"exp_samples": [{"value": 1}]}]})) == ["A"]


def test_a_durations_seconds_are_those_of_the_window_it_stands_beside() -> None:
    """`time()` knows no durations: the seconds in `plumbline:watched` are written out."""
    watched = {
        rule["record"].rpartition(":")[2]: rule["expr"] for rule in RULES if "watched:" in rule.get("record", "")
    }
    units = {"m": 60, "h": 3600}
    for window, expression in watched.items():
        assert f"offset {window} == 1" in expression
        assert expression.endswith(f"> time() - {int(window[:-1]) * units[window[-1]]}")
    used = {found for rule in RULES for found in re.findall(r"plumbline:watched:(\w+)", rule["expr"])}
    assert used == watched.keys()


def test_what_counts_new_series_in_full_does_so_over_one_window() -> None:
    for rule in RULES:
        windows = set(
            re.findall(r"plumbline:watched:(\w+)|unless plumbline_\S+?(?:{[^}]*})? offset (\w+)", rule["expr"])
        )
        found = {window for pair in windows for window in pair if window}
        if "plumbline:watched" in rule["expr"]:
            assert len(found) == 1, rule
            assert f"[{found.pop()}]" in rule["expr"], rule


@pytest.mark.parametrize(
    "command",
    [
        ("promtool", "check", "rules", *(f"deploy/prometheus/{name}" for name in FILES)),
        ("promtool", "check", "config", "deploy/prometheus/prometheus.yml"),
        ("promtool", "test", "rules", *(str(path.relative_to(ROOT)) for path in TESTS)),
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
