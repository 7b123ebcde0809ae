"""Names, labels and values in PromQL expressions, for tests that hold rules and dashboards to what is exported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, get_args

import yaml
from prometheus_client import CollectorRegistry

from alerting.alert import State
from alerting.catalogue import CATALOGUE
from alerting.correlator import Taken
from alerting.severity import Severity
from detectors.onnx_classifier import Provider
from detectors.taxonomy import LABELS
from detectors.verdict import Arm, Cause, Status
from services.kafka import all_topics
from services.loop_metrics import (
    ROLLOUT_STAGES,
    ROLLOUT_STEPS,
    RUN_OUTCOMES,
    RUN_STAGES,
    TRIGGERS,
    BundleMetrics,
    RetrainerMetrics,
    RolloutMetrics,
)
from services.metrics import (
    NOTIFICATION_OUTCOMES,
    CorrelatorMetrics,
    ProbeMetrics,
    RecorderMetrics,
    ScorerMetrics,
    StreamMetrics,
)
from services.probing.bookkeeping import Kind, Outcome
from services.probing.prober import GROUPS
from services.settings import load_settings
from tests.servers import ROOT

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME = re.compile(r"\b(plumbline[a-z0-9_:]*)\b")
_SELECTOR = re.compile(r"\b([a-z][a-z0-9_:]*)\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"([^"]*)"')
FROM_SCRAPING = frozenset({"job", "instance", "le", "alertname", "alertstate"})


def exported() -> dict[str, frozenset[str]]:
    """Every name that `/metrics` of any process shows, with its labels."""
    registry = CollectorRegistry()
    found: dict[str, frozenset[str]] = {}
    for kind in (
        StreamMetrics,
        ScorerMetrics,
        BundleMetrics,
        RetrainerMetrics,
        RolloutMetrics,
        RecorderMetrics,
        CorrelatorMetrics,
        ProbeMetrics,
    ):
        for metric in vars(kind(registry)).values():
            if not hasattr(metric, "_labelnames"):
                continue
            labels = frozenset(metric._labelnames)
            name = metric._name
            match metric._type:
                case "counter":
                    found[f"{name}_total"] = labels
                case "histogram":
                    found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
                case _:
                    found[name] = labels
    return found


def metrics_in(expression: str) -> set[str]:
    """Names of our metrics and recording rules."""
    return set(_NAME.findall(_STRING.sub('""', expression)))


def matched_labels(expression: str) -> list[tuple[str, str]]:
    """(metric, label) of every matcher."""
    return [(name, label) for name, label, _ in _matchers(expression) if name.startswith("plumbline")]


def unknown_values(expression: str) -> list[tuple[str, str, str]]:
    """(metric, label, value) of every matcher that asks for a value which nothing ever has, or shuts such a one out."""
    return [
        (name, label, value)
        for name, label, values in _matchers(expression)
        for value in values
        if (known := label_values(name, label)) is not None and value not in known
    ]


def _matchers(expression: str) -> Iterator[tuple[str, str, list[str]]]:
    for name, body in _SELECTOR.findall(expression):
        for label, operator, value in _MATCHER.findall(body):
            yield name, label, value.split("|") if "~" in operator else [value]


def label_values(metric: str, label: str) -> frozenset[str] | None:
    """All that a label of a metric can be; None where that is not known, as for tenants."""
    return _OF_METRIC.get((metric, label), _everywhere().get(label))


@cache
def _everywhere() -> Mapping[str, frozenset[str]]:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    return {
        "status": frozenset(Status),
        "cause": frozenset(Cause),
        "arm": frozenset(Arm),
        "severity": frozenset(Severity),
        "category": frozenset(LABELS),
        "provider": frozenset(Provider),
        "stage": frozenset({"screened", "encoded", "audited", "missed"}),
        "step": frozenset({"prepare", "complete", "deliver", "commit", "idle"}),
        "test": frozenset({"psi", "adwin_mean"}),
        "alert": frozenset(CATALOGUE),
        "to": frozenset(State),
        "group": frozenset(GROUPS),
        "topic": frozenset(all_topics(load_settings(topic_prefix=""))),
        "job": frozenset(job["job_name"] for job in scraped) | {"plumbline-.*"},
    }


_OF_METRIC: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("plumbline_probes_total", "kind"): frozenset(get_args(Kind)),
    ("plumbline_probes_total", "outcome"): frozenset(Outcome),
    ("plumbline_notifications_total", "outcome"): frozenset(NOTIFICATION_OUTCOMES),
    ("plumbline_tenant_events_total", "outcome"): frozenset({"clear", "flagged", "unscored"}),
    ("plumbline_records_total", "outcome"): frozenset(Status) | {"recorded", "dead_lettered"},
    ("plumbline_correlated_verdicts_total", "outcome"): frozenset(Taken) | {"unreadable"},
    ("plumbline_alerts", "state"): frozenset(State),
    ("plumbline_retraining_stage", "stage"): frozenset(RUN_STAGES),
    ("plumbline_retraining_runs_total", "trigger"): frozenset(TRIGGERS),
    ("plumbline_retraining_runs_total", "outcome"): frozenset(RUN_OUTCOMES),
    ("plumbline_rollout_stage", "stage"): frozenset(ROLLOUT_STAGES),
    ("plumbline_rollout_steps_total", "step"): frozenset(ROLLOUT_STEPS),
    ("plumbline_rollout_steps_total", "by"): frozenset({"plumbline", "person"}),
    ("plumbline_rollout_compared", "what"): frozenset({"flagged", "incomplete", "agreed", "confirmed", "seconds"}),
    ("plumbline_correlator_partitions", "state"): frozenset({"assigned", "all"}),
}


def grouped_labels(expression: str) -> set[str]:
    """Labels of every by(), on() and their like."""
    plain = _STRING.sub('""', expression)
    return {label.strip() for body in _GROUPING.findall(plain) for label in body.split(",") if label.strip()}
