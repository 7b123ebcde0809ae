"""`plumbline doctor` about a registry: whether it answers, and what it has scorers serve."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.registry import open_registry
from deploy.rollout.state import first
from deploy.rollout.steps import advance, start
from detectors.detector import Detector
from detectors.loading import DEFAULT_BUNDLE
from services.cli.main import app

GONE = "gone-0123456789ab"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str, detector: Detector) -> Path:
    """Everything else is well."""
    monkeypatch.setattr("services.cli.doctor.configured_detector", lambda _: detector)
    monkeypatch.setattr("services.cli.doctor.missing_topics", lambda *_: [])
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", database_url)
    monkeypatch.setenv("PLUMBLINE_REGISTRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PLUMBLINE_REGISTRY", str(tmp_path / "registry"))
    return tmp_path / "registry"


def told() -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor"])
    return result.exit_code, next(line for line in result.stdout.splitlines() if " registry: " in line)


def test_what_it_serves_and_what_is_on_its_way(registry: Path) -> None:
    opened = open_registry(str(registry))
    assert told() == (0, "ok    registry: answers, and has no rollout yet: the bundle above is served")
    version = opened.publish(DEFAULT_BUNDLE, {})
    opened.move(first(version, NOW))
    assert told() == (0, f"ok    registry: answers, and serves {version} (revision 1)")
    rollout = start(first(version, NOW), "next-1", actor="ada", reason="better", at=NOW)
    opened.move(rollout)
    opened.move(advance(rollout, 0.1, actor="ada", reason="better", at=NOW))
    share = "next-1 in canary for 10% of conversations"
    assert told() == (0, f"ok    registry: answers, and serves {version}, {share} (revision 3)")


def test_a_version_that_cannot_be_had_and_a_registry_that_is_none(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_registry(str(registry)).move(first(GONE, NOW))
    code, line = told()
    assert code == 1
    assert line.startswith(f"FAIL  registry: {GONE}")
    assert line.endswith("(PLUMBLINE_REGISTRY)")
    monkeypatch.setenv("PLUMBLINE_REGISTRY", "carrier-pigeon://coop")
    code, line = told()
    assert (code, line.endswith("(PLUMBLINE_REGISTRY)")) == (1, True)


def test_without_a_registry_nothing_is_said_of_one(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUMBLINE_REGISTRY")
    result = CliRunner().invoke(app, ["doctor"])
    assert (result.exit_code, " registry: " in result.stdout) == (0, False)
