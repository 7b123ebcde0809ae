"""Bounded labels, and what is said about a loaded bundle."""

from __future__ import annotations

import math
from copy import copy

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from detectors.detector import Detector
from detectors.verdict import Arm, Cause
from services.metrics import (
    OTHER,
    UNKNOWN,
    CorrelatorMetrics,
    LabelLimit,
    OutboxMetrics,
    ProbeMetrics,
    RecorderMetrics,
    ScorerMetrics,
    StreamMetrics,
)


@given(st.lists(st.text(max_size=100) | st.none(), max_size=60))
def test_however_many_values_come_the_number_of_series_is_bounded(values: list[str | None]) -> None:
    limit = LabelLimit(5)
    shown = [limit(value) for value in values]
    assert len(set(shown) - {OTHER, UNKNOWN}) <= 5
    assert all(len(value) <= 64 for value in shown)
    assert [limit(value) for value in values if value and value[:64] in shown] == [
        value[:64] for value in values if value and value[:64] in shown
    ]


def test_the_first_values_stay_themselves_and_later_ones_are_other() -> None:
    limit = LabelLimit(2)
    assert [limit(value) for value in ("a", "b", "c", "a", None, "")] == ["a", "b", OTHER, "a", UNKNOWN, UNKNOWN]


def test_every_metric_has_its_own_name() -> None:
    registry = CollectorRegistry()
    for metrics in (StreamMetrics, ScorerMetrics, RecorderMetrics, CorrelatorMetrics, ProbeMetrics, OutboxMetrics):
        metrics(registry)  # a second one of a name raises
    assert b"plumbline_records" in generate_latest(registry)


def test_counters_that_alerts_look_for_are_there_at_zero_before_anything_happens() -> None:
    registry = CollectorRegistry()
    for metrics in (ScorerMetrics, StreamMetrics, CorrelatorMetrics, ProbeMetrics):
        metrics(registry)
    zero = [
        ("plumbline_probes_total", {"kind": kind, "outcome": outcome})
        for kind in ("misaligned", "aligned")
        for outcome in ("flagged", "clear", "unscored", "lost")
    ]
    zero += [("plumbline_notifications_total", {"outcome": each}) for each in ("accepted", "refused", "unreachable")]
    zero += [
        ("plumbline_incomplete_verdicts_total", {"status": "unscored", "cause": cause.value, "arm": arm.value})
        for cause in Cause
        for arm in Arm
    ]
    zero += [("plumbline_lost_records_total", {})]
    assert [registry.get_sample_value(name, labels) for name, labels in zero] == [0.0] * len(zero)


def test_a_correlator_that_knows_no_time_yet_does_not_say_that_it_is_on_time() -> None:
    registry = CollectorRegistry()
    CorrelatorMetrics(registry)
    behind = registry.get_sample_value("plumbline_correlator_behind_seconds")
    assert behind is not None
    assert math.isnan(behind)


def test_a_loaded_bundle_says_what_it_is(detector: Detector) -> None:
    registry = CollectorRegistry()
    ScorerMetrics(registry).serves({Arm.STABLE: detector}, "cpu")
    info = {"version": detector.version, "provider": "cpu", "arm": "stable"}
    assert registry.get_sample_value("plumbline_bundle_info", info) == 1
    assert registry.get_sample_value("plumbline_label_covered", {"category": "misalignment"}) == 1
    assert registry.get_sample_value("plumbline_flag_budget_share") == detector.manifest.false_positive_budget


def test_what_does_not_serve_any_more_is_not_named_and_limits_are_the_stable_one_s(detector: Detector) -> None:
    registry = CollectorRegistry()
    metrics = ScorerMetrics(registry)
    covered = detector.manifest.model_copy(update={"version": "next-1", "false_positive_budget": 0.25})
    candidate = copy(detector)
    candidate.manifest = covered.model_copy(update={"heads": {"misalignment": covered.heads["misalignment"]}})

    def shown() -> set[tuple[str, str]]:
        samples = [
            each for family in registry.collect() if family.name == "plumbline_bundle_info" for each in family.samples
        ]
        assert {sample.value for sample in samples} == {1.0}
        return {(sample.labels["arm"], sample.labels["version"]) for sample in samples}

    first, budget = detector.version, detector.manifest.false_positive_budget
    metrics.serves({Arm.STABLE: detector}, "cpu")
    metrics.serves({Arm.STABLE: detector, Arm.CANARY: candidate}, "cpu")
    assert shown() == {("stable", first), ("canary", "next-1")}
    assert registry.get_sample_value("plumbline_flag_budget_share") == budget
    metrics.serves({Arm.STABLE: candidate}, "cpu")
    assert shown() == {("stable", "next-1")}
    assert registry.get_sample_value("plumbline_flag_budget_share") == 0.25
    lost = next(label for label in detector.manifest.heads if label != "misalignment")
    assert registry.get_sample_value("plumbline_label_covered", {"category": lost}) == 0
