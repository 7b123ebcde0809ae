"""Dashboards are current, ask for nothing that is not exported, and are what Grafana's own types say."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.grafana.plan import DATASOURCE_UID
from tests.promql import FROM_SCRAPING, exported, grouped_labels, matched_labels, metrics_in, unknown_values
from tests.servers import ROOT, require_debian

if os.environ.get("CI") != "true":
    pytest.importorskip("grafana_foundation_sdk", reason="needs grafana-foundation-sdk, of the extra 'dev'")

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from alerting.dashboards.__main__ import FOLDER, files
from alerting.dashboards.boards import BOARDS
from alerting.dashboards.panels import ROLLOUT_STEPS, without_nothing

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
        assert not unknown_values(expression), expression


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_single_number_is_taken_over_what_the_dashboard_shows(path: Path) -> None:
    """$__rate_interval is the width of a point in a graph: of a number it would show the last minute."""
    for panel in json.loads(path.read_text())["panels"]:
        if panel["type"] == "stat":
            assert not [each for each in panel["targets"] if "$__rate_interval" in each["expr"]], panel["title"]


def test_variables_have_a_default_and_the_two_versions_not_the_same_one() -> None:
    for path in SHIPPED:
        variables = {each["name"]: each for each in json.loads(path.read_text())["templating"]["list"]}
        assert variables["datasource"]["current"]["value"] == DATASOURCE_UID
    versions = {
        each["name"]: each
        for each in json.loads((FOLDER / "plumbline-versions.json").read_text())["templating"]["list"]
    }
    assert versions["baseline"]["sort"] != versions["candidate"]["sort"]


def test_no_state_that_every_recorder_tells_is_added_up() -> None:
    texts = [expression for path in SHIPPED for expression in expressions(json.loads(path.read_text()))]
    cases = [text for text in texts if "plumbline_open_cases" in text or "plumbline_oldest_open_case" in text]
    assert cases
    assert all("max by (severity) (plumbline_o" in text for text in cases)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_it_is_a_dashboard_by_grafanas_own_types(path: Path) -> None:
    register_default_plugins()
    written = json.loads(path.read_text())
    again = without_nothing(json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(written))))
    for panel in again["panels"]:
        panel["fieldConfig"]["defaults"].pop("custom", None)  # what the SDK reads as empty, it writes as {}
    for panel in written["panels"]:
        panel["fieldConfig"]["defaults"].pop("custom", None)
    for name in ("step", "tagKeys", "textFormat", "titleFormat"):  # the data source knows these, and the SDK does not
        assert written["annotations"]["list"][1].pop(name)
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


def filled(expression: str) -> str:
    """As Grafana asks for it over an hour, with two versions chosen."""
    for name, value in {"$__range": "1h", "$__rate_interval": "5m", "$baseline": "v1", "$candidate": "v2"}.items():
        expression = expression.replace(name, value)
    return expression


def asked(title: str) -> dict[str, str]:
    """Legend → expression of a panel."""
    (panel,) = [panel for board in BOARDS for panel in board.panels if panel.title == title]
    return {query.legend: filled(query.expr) for query in panel.queries}


def promtool(tmp_path: Path, content: dict[str, Any], *command: str) -> None:
    require_debian("promtool")
    (tmp_path / "file.yml").write_text(yaml.safe_dump(content))
    ran = subprocess.run(["promtool", *command, "file.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_can_read_every_expression(tmp_path: Path) -> None:
    asks = [filled(query.expr) for board in BOARDS for panel in board.panels for query in panel.queries]
    rules = [{"record": f"asked:{number}", "expr": expression} for number, expression in enumerate(asks)]
    promtool(tmp_path, {"groups": [{"name": "g", "rules": rules}]}, "check", "rules", "--lint=none")


def test_a_version_without_a_flag_has_a_share_of_0_and_an_interval(tmp_path: Path) -> None:
    shares = asked("Flagged share with intervals")
    low, share, high = (shares[f"{{{{model_version}}}}{end}"] for end in (" low", "", " high"))
    clean = {"labels": '{model_version="v1"}'}
    flagged = {"labels": '{model_version="v2"}'}
    cases = {
        f"round({share}, 0.01)": [clean | {"value": 0}, flagged | {"value": 0.1}],
        f"round({low}, 0.01)": [clean | {"value": 0}, flagged | {"value": 0.07}],
        f"round({high}, 0.01)": [clean | {"value": 0.01}, flagged | {"value": 0.14}],
        f"round({asked('Flagged share')['flagged']}, 0.01)": [{"value": 0.05}],
        asked("Flagged share over time")["baseline"]: [clean | {"value": 0}],
        f"round({asked('Flagged share by model version')['{{model_version}}']}, 0.01)": [
            clean | {"value": 0},
            flagged | {"value": 0.1},
        ],
    }
    scored = 'plumbline_verdicts_total{{job="s", status="scored", model_version="{}", arm="stable"}}'
    flags = 'plumbline_flagged_events_total{job="s", severity="high", model_version="v2", arm="stable"}'
    test = {
        "interval": "1m",
        "input_series": [
            {"series": scored.format("v1"), "values": "0+5x90"},
            {"series": scored.format("v2"), "values": "0+5x90"},
            {"series": flags, "values": "0+0.5x90"},
        ],
        "promql_expr_test": [
            {"expr": expression, "eval_time": "80m", "exp_samples": samples} for expression, samples in cases.items()
        ],
    }
    promtool(tmp_path, {"tests": [test]}, "test", "rules")


def test_every_step_of_a_rollout_is_an_annotation_on_every_board_and_a_restart_is_none(tmp_path: Path) -> None:
    for path in SHIPPED:
        annotation = json.loads(path.read_text())["annotations"]["list"][1]
        assert annotation["expr"] == ROLLOUT_STEPS
        assert annotation["enable"]
    assert metrics_in(ROLLOUT_STEPS) <= exported().keys()
    steps = 'plumbline_rollout_steps_total{{job="r", step="{}", by="plumbline"}}'
    series = [
        {"series": steps.format("promoted"), "values": "0x80 1x80 0x80"},  # in minute 20; a restart in minute 40
        {"series": steps.format("rolled_back"), "values": "0x241"},
    ]
    shown = f"count({ROLLOUT_STEPS})"
    found = {"19m": [], "21m": [{"value": 1}], "22m": [], "40m": [], "41m": []}
    asks = [{"expr": shown, "eval_time": at, "exp_samples": samples} for at, samples in found.items()]
    promtool(
        tmp_path,
        {"tests": [{"interval": "15s", "input_series": series, "promql_expr_test": asks}]},
        "test",
        "rules",
    )


def test_without_any_flag_the_share_is_0_and_with_dead_letters_alone_coverage_is(tmp_path: Path) -> None:
    series = [
        {"series": 'plumbline_verdicts_total{job="s", status="scored", model_version="v1", arm="stable"}'},
        {"series": 'plumbline_dead_letters_total{job="plumbline-scorer", code="not_json"}'},
    ]
    tests = [
        {"interval": "1m", "input_series": [found | {"values": "0+5x90"}], "promql_expr_test": [asks]}
        for found, asks in zip(
            series,
            (
                {"expr": asked("Flagged share")["flagged"], "eval_time": "80m", "exp_samples": [{"value": 0}]},
                {"expr": asked("Coverage")["coverage"], "eval_time": "80m", "exp_samples": [{"value": 0}]},
            ),
            strict=True,
        )
    ]
    promtool(tmp_path, {"tests": tests}, "test", "rules")
