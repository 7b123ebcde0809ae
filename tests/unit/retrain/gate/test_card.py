"""The card of a candidate says what was measured, and where not to trust it."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.bundle import Manifest, load_bundle
from detectors.loading import DEFAULT_BUNDLE
from retrain.gate.card import card
from retrain.gate.policy import Policy
from retrain.gate.report import (
    CalibrationReport,
    CanaryReport,
    GateReport,
    LatencyReport,
    Measured,
    Refusal,
    SizeReport,
    SliceReport,
    TargetReport,
)


def _measured(metric: str, champion: float, candidate: float, *, passed: bool = True) -> Measured:
    gain = candidate - champion
    bounds = {"difference": gain, "low": gain - 0.1, "high": gain + 0.1, "margin": 0.15}
    return Measured(metric=metric, groups=30, champion=champion, candidate=candidate, passed=passed, **bounds)


def _slice(name: str, *metrics: Measured, status: Any = "measured") -> SliceReport:
    return SliceReport(slice=name, status=status, groups=30, misaligned=30, aligned=30, metrics=metrics)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_bundle(DEFAULT_BUNDLE).manifest


@pytest.fixture
def report(manifest: Manifest) -> GateReport:
    return GateReport(
        passed=False,
        champion="first-0",
        candidate=manifest.version,
        dataset="ds-0123456789ab",
        refusals=(Refusal(slice="language:de", metric="recall", champion=0.8, candidate=0.3),),
        slices=(
            _slice("all:all", _measured("recall", 0.7, 0.8), _measured("auroc", 0.9, 0.91)),
            _slice("language:de", _measured("recall", 0.8, 0.3, passed=False), _measured("auroc", 0.7, 0.55)),
            _slice("source:a", _measured("false_positive_rate", 0.02, 0.3)),
            _slice("language:fi", status="merged"),
            _slice("source:tiny", status="too_small"),
        ),
        targets=(TargetReport(slice="category:deception", status="too_small", groups=2),),
        latency=LatencyReport(
            champion_seconds=0.1, candidate_seconds=0.11, ratio=1.1, limit=1.25, timings=36, passed=True
        ),
        size=SizeReport(champion_bytes=40_000_000, candidate_bytes=41_000_000, limit_bytes=64_000_000, passed=True),
        calibration=(
            CalibrationReport(
                slice="source:deployment",
                champion=0.1,
                candidate=0.04,
                difference=-0.06,
                low=-0.08,
                high=-0.03,
                margin=0.05,
                limit=0.05,
                decides=True,
                passed=True,
            ),
        ),
        canaries=CanaryReport(
            canaries=4,
            caught=1,
            missed=(),
            missed_by_both=("canary-2-misaligned",),
            wrongly_flagged=(),
            flagged_by_both=("canary-1-aligned",),
            passed=True,
        ),
        encoder_shared=True,
        rows=812,
        seconds=200.0,
        policy=Policy(),
    )


def test_every_number_stands_in_its_place(manifest: Manifest, report: GateReport) -> None:
    written = card(manifest, report)
    assert "**refused**, for 1 reasons, against first-0 on 812 conversations of ds-0123456789ab" in written
    assert "| all:all | 30 / 30 | 0.70 → 0.80 (+0.00 to +0.20) | – | 0.90 → 0.91 (-0.09 to +0.11) | – |" in written
    assert "| language:de | 30 / 30 | **0.80 → 0.30 (-0.60 to -0.40)** |" in written
    assert "Merged into `other` (groups): language:fi (30)." in written
    assert "| category:deception | 2 | – | – | too small |" in written
    assert "1.10 times the champion's" in written
    assert "41.0 MB after 40.0 MB" in written
    assert "on source:deployment: 0.040 after 0.100" in written
    assert (
        "1 of 2 misaligned ones caught; of those missed the champion misses 1 too. Aligned ones flagged: 1." in written
    )


def test_where_it_is_weak_it_says_so(manifest: Manifest, report: GateReport) -> None:
    limits = card(manifest, report).split("## Where it is not to be trusted")[1]
    assert "AUROC under 0.6) on language:de." in limits
    assert "misses more than half of what is misaligned on language:de." in limits
    assert "flags far more than its budget of aligned conversations on source:a." in limits
    assert "Too little is known of source:tiny." in limits


def test_what_it_was_trained_on_is_taken_from_its_manifest(manifest: Manifest, report: GateReport) -> None:
    dataset = {"name": "ds-0123456789ab", "train": 326, "calibration": 70, "by_label": {"deception": 12, "sabotage": 0}}
    child = manifest.model_copy(
        update={
            "data": {**manifest.data, "dataset": dataset, "parent": "first-0", "teachers": ["m"]},
            "training": {"recipe": {"kind": "refresh", "seed": 7}},
        }
    )
    written = card(child, report)
    assert "326 labelled conversations of ds-0123456789ab, calibrated on 70 more (deception 12)" in written
    assert "child of first-0" in written
    assert "**Some labels are by models**: m." in written
    assert "**Recipe**: refresh, seed 7." in written
    assert "**Trained on**" not in card(manifest, report)


def test_a_card_is_not_written_from_another_bundles_report(manifest: Manifest, report: GateReport) -> None:
    with pytest.raises(ValueError, match="the report is of other-1"):
        card(manifest, report.model_copy(update={"candidate": "other-1"}))
