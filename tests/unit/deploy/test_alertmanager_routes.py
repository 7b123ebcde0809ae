"""Each alert of the catalogue reaches whom it should; what holds an alert back has to do with it."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from alerting.catalogue import CATALOGUE, AlertKind
from tests.servers import ROOT, require_debian

FILE = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
RULES = yaml.safe_load(FILE.read_text())["inhibit_rules"]
PEOPLE = {"critical": "pagerduty", "high": "slack", "medium": "email"}
BLIND = [rule for rule in RULES if "ScorerDown" in str(rule["source_matchers"])]


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in BLIND], ids=lambda rule: str(rule))
def test_only_an_alert_about_the_same_thing_is_held_back(rule: dict[str, list[str]]) -> None:
    """Labels that both lack count as equal: what is held back must be asked to have one that it may lack."""
    (label,) = rule["equal"]
    targets = " ".join(rule["target_matchers"])
    assert label in {"model_version", "tenant"}
    if 'source="correlator"' in targets and label == "model_version":
        assert 'model_version!=""' in targets


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.name)
def test_it_goes_to_the_people_of_its_severity_and_to_the_webhook(kind: AlertKind) -> None:
    expected = {PEOPLE[kind.severity.value], *(["webhook"] if kind.category != "drift" else [])}
    labels = {"alertname": kind.name, "severity": kind.severity.value, "category": kind.category, "plumbline": "true"}
    assert receivers(labels) == expected


def test_an_alert_of_somebody_else_goes_where_all_others_go() -> None:
    assert receivers({"alertname": "DiskFull", "severity": "critical"}) == {"log"}


def receivers(labels: dict[str, str]) -> set[str]:
    """As Alertmanager's own tool routes it."""
    require_debian("amtool")
    told = [f"{name}={value}" for name, value in labels.items()]
    command = ["amtool", "config", "routes", "test", f"--config.file={FILE}", *told]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(ran.stdout.split()[-1].split(","))
