"""Bounded labels, and what is said about a loaded bundle."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from detectors.detector import Detector
from detectors.verdict import Cause
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
    zero += [("plumbline_incomplete_verdicts_total", {"status": "unscored", "cause": cause.value}) for cause in Cause]
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
    ScorerMetrics(registry).loaded(detector, "cpu")
    info = {"version": detector.version, "provider": "cpu"}
    assert registry.get_sample_value("plumbline_bundle_info", info) == 1
    assert registry.get_sample_value("plumbline_label_covered", {"category": "misalignment"}) == 1
    assert registry.get_sample_value("plumbline_flag_budget_share") == detector.manifest.false_positive_budget
