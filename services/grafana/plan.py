"""What has to change in a Grafana so that it shows our dashboards. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

FOLDER_UID: Final = "plumbline"
DATASOURCE_UID: Final = "plumbline-prometheus"
_OLDEST: Final = (10, 0)
_GRAFANAS_OWN: Final = ("id", "version", "iteration", "schemaVersion")


def old(version: str) -> bool:
    """Whether this version of Grafana lacks what we use: folders and data sources by uid in one API."""
    numbers = version.split("-", 1)[0].split(".")
    try:
        return (int(numbers[0]), int(numbers[1])) < _OLDEST
    except (IndexError, ValueError):
        return True


def datasource(prometheus_url: str) -> dict[str, Any]:
    """The data source as it should be."""
    return {
        "uid": DATASOURCE_UID,
        "name": "Plumbline Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus_url,
        "jsonData": {"timeInterval": "15s"},
    }


def differs(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether anything of `wanted` is otherwise; what Grafana or its owner adds does not count."""
    return dict(there) != merged(wanted, there)


def merged(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """`there` with all of `wanted`, and what else its owner has set in `jsonData`."""
    options = {**(there.get("jsonData") or {}), **wanted.get("jsonData", {})}
    return {**there, **wanted, "jsonData": options}


def same_dashboard(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether both show the same, but for the numbers that Grafana gives."""

    def bare(board: Mapping[str, Any]) -> str:
        return json.dumps({key: value for key, value in board.items() if key not in _GRAFANAS_OWN}, sort_keys=True)

    return bare(wanted) == bare(there)


def annotation(kind: str, text: str, at_ms: int, model_version: str | None) -> dict[str, Any]:
    """An annotation as our dashboards look for it, by its tags."""
    tags = ["plumbline", kind, *([f"model_version:{model_version}"] if model_version else [])]
    return {"time_from": at_ms, "tags": tags, "text": text}


def has_annotation(wanted: Mapping[str, Any], there: Iterable[Mapping[str, Any]], since_ms: int) -> bool:
    """Whether the same thing has been said about a moment from `since_ms` on, up to that of `wanted`."""
    return any(
        each.get("text") == wanted["text"]
        and since_ms <= each.get("time", 0) <= wanted["time_from"]
        and set(wanted["tags"]) <= set(each.get("tags", ()))
        for each in there
    )
