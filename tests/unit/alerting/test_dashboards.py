"""Dashboards are current, ask for nothing that is not exported, and are what Grafana's own types say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.promql import FROM_SCRAPING, exported, grouped_labels, matched_labels, metrics_in
from tests.servers import ROOT

if os.environ.get("CI") != "true":
    pytest.importorskip("grafana_foundation_sdk", reason="needs grafana-foundation-sdk, of the extra 'dev'")

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from alerting.dashboards.__main__ import FOLDER, files
from alerting.dashboards.boards import BOARDS
from alerting.dashboards.panels import without_nothing

SHIPPED = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
TITLES = {
    "Misalignment overview",
    "Coverage and health",
    "Model version comparison",
    "Detectors and drift",
    "Feedback loop",
}


def expressions(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_what_ships_is_what_the_code_makes() -> None:
    assert {path.name: path.read_text() for path in FOLDER.glob("*.json")} == files()
    assert {json.loads(path.read_text())["title"] for path in SHIPPED} == TITLES


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_metric_and_label_is_exported(path: Path) -> None:
    known = exported()
    labels = frozenset().union(*known.values()) | FROM_SCRAPING
    for expression in expressions(json.loads(path.read_text())):
        names = metrics_in(expression)
        assert names, expression
        assert names <= known.keys(), expression
        assert all(label in known[name] | FROM_SCRAPING for name, label in matched_labels(expression)), expression
        assert grouped_labels(expression) <= labels, expression


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_is_a_dashboard_by_grafanas_own_types(path: Path) -> None:
    register_default_plugins()
    written = json.loads(path.read_text())
    again = without_nothing(json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(written))))
    for panel in again["panels"]:
        panel["fieldConfig"]["defaults"].pop("custom", None)  # what the SDK reads as empty, it writes as {}
    for panel in written["panels"]:
        panel["fieldConfig"]["defaults"].pop("custom", None)
    assert again == written
    assert written["annotations"]["list"][0]["target"]["tags"] == ["plumbline"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_panels_say_what_they_show_and_do_not_overlap(path: Path) -> None:
    panels = json.loads(path.read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_uids_and_titles_are_unique() -> None:
    assert len({board.uid for board in BOARDS}) == len({board.title for board in BOARDS}) == len(BOARDS)
