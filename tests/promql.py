"""Metric names and label names in PromQL expressions, for tests that hold rules and dashboards to what is exported."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry

from services.metrics import CorrelatorMetrics, ProbeMetrics, RecorderMetrics, ScorerMetrics, StreamMetrics

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAME = re.compile(r"\b(plumbline[a-z0-9_:]*)\b")
_SELECTOR = re.compile(r"\b(plumbline[a-z0-9_:]*)\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_MATCHER = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)")
FROM_SCRAPING = frozenset({"job", "instance", "le", "alertname", "alertstate"})


def exported() -> dict[str, frozenset[str]]:
    """Every name that `/metrics` of any process shows, with its labels."""
    registry = CollectorRegistry()
    found: dict[str, frozenset[str]] = {}
    for kind in (StreamMetrics, ScorerMetrics, RecorderMetrics, CorrelatorMetrics, ProbeMetrics):
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
    plain = _STRING.sub('""', expression)
    return [(name, label) for name, body in _SELECTOR.findall(plain) for label in _MATCHER.findall(body)]


def grouped_labels(expression: str) -> set[str]:
    """Labels of every by(), on() and their like."""
    plain = _STRING.sub('""', expression)
    return {label.strip() for body in _GROUPING.findall(plain) for label in body.split(",") if label.strip()}
