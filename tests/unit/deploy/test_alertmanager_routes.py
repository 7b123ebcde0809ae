"""What holds an alert back has to do with it."""

from __future__ import annotations

import pytest
import yaml

from tests.servers import ROOT

RULES = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())["inhibit_rules"]
BLIND = [rule for rule in RULES if "ScorerDown" in str(rule["source_matchers"])]


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in BLIND], ids=lambda rule: str(rule))
def test_only_an_alert_about_the_same_thing_is_held_back(rule: dict[str, list[str]]) -> None:
    """Labels that both lack count as equal: the ones that are held back must be asked to have it, where they may not."""
    (label,) = rule["equal"]
    targets = " ".join(rule["target_matchers"])
    assert label in {"model_version", "tenant"}
    if 'source="correlator"' in targets and label == "model_version":
        assert 'model_version!=""' in targets
