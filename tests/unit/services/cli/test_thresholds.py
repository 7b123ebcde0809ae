"""`plumbline thresholds`: past traffic and a budget in, an explanation and a bundle out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from detectors.bundle import load_bundle
from detectors.codec import encode_verdict
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Arm, Verdict
from services.cli.main import app
from services.errors import SettingsError

VERSION = load_bundle(DEFAULT_BUNDLE).manifest.version


@pytest.fixture
def traffic(tmp_path: Path, make_verdict: Callable[..., Verdict], now: datetime) -> Path:
    """100 conversations over ten days, one of each score; and what others say of one more, who decide nothing."""
    verdicts = [
        make_verdict(
            f"e{number}",
            conversation_id=f"c{number}",
            bundle_version=VERSION,
            misalignment=number / 100,
            scores={},
            occurred_at=now + timedelta(days=10) * number / 99,
        )
        for number in range(100)
    ]
    aside = verdicts[99].model_copy(update={"misalignment": 1.0, "conversation_id": "aside"})
    verdicts += [aside.model_copy(update={"arm": arm}) for arm in Arm if not arm.decides]
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(b"".join(encode_verdict(verdict) + b"\n" for verdict in verdicts))
    return path


def test_it_explains_its_choice_and_writes_a_bundle_that_has_it(traffic: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    options = ["--alerts-per-day", "1", "--verdicts", str(traffic), "--write", str(out)]
    result = CliRunner().invoke(app, ["thresholds", *options], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "100 conversations in 10.00 days; budget 1 a day" in result.output
    manifest = load_bundle(out).manifest
    assert 0.89 < manifest.thresholds[MISALIGNMENT] <= 0.9
    assert manifest.version != VERSION
    assert manifest.version in result.output


@pytest.mark.parametrize(("days", "told"), [(None, "no scored traffic"), ("0", "--days")])
def test_without_traffic_or_time_it_says_so(traffic: Path, tmp_path: Path, days: str | None, told: str) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    source = traffic if days else empty
    options = ["--alerts-per-day", "1", "--verdicts", str(source), *(["--days", days] if days else [])]
    result = CliRunner().invoke(app, ["thresholds", *options])
    assert isinstance(result.exception, SettingsError)
    assert told in str(result.exception)
