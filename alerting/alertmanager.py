"""Alerts as Alertmanager's API (version 2) takes and gives them. Levels, not edges: what is firing is posted over and
over, so that nothing hangs on a single post, and Alertmanager tells people once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from pydantic import JsonValue

from alerting.alert import ACTIVE, Alert
from alerting.catalogue import CATALOGUE
from alerting.finding import Case

ENDS_AFTER: Final = timedelta(minutes=5)
"""Alertmanager takes an alert for resolved that nobody has posted for so long."""
FINGERPRINT: Final = "plumbline_fingerprint"
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Links:
    """Where people can go on reading. `case` may hold {tenant}, {conversation} and {verdict}."""

    runbooks: str = "docs/runbooks"
    case: str | None = None


def posted(alert: Alert, now: datetime, links: Links) -> dict[str, JsonValue] | None:
    """One item of `POST /api/v2/alerts`; None for what has not fired. No content of any conversation is in it."""
    if alert.started_at is None:
        return None
    kind = CATALOGUE[alert.alert]
    ends = now + ENDS_AFTER if alert.state in ACTIVE else alert.changed_at
    labels = {
        "alertname": alert.alert,
        "severity": alert.severity.value,
        "category": kind.category,
        "plumbline": "true",
        "source": "correlator",
        FINGERPRINT: alert.fingerprint,
        **{key: value[:_LONGEST] for key, value in alert.subject.items()},
    }
    if alert.model_version:  # never changes while it fires: a label that changed would be another alert
        labels.setdefault("model_version", alert.model_version[:_LONGEST])
    annotations = {
        "summary": kind.summary,
        "description": alert.detail,
        "runbook": f"{links.runbooks}/{alert.alert}.md",
        **_case(alert, links),
    }
    item: dict[str, JsonValue] = {
        "labels": {**labels},
        "annotations": {key: value for key, value in annotations.items() if value},
        "startsAt": alert.started_at.isoformat(),
        "endsAt": ends.isoformat(),
    }
    return item


def _case(alert: Alert, links: Links) -> dict[str, str]:
    """The first case: its ids, and the place of its evidence."""
    if not alert.cases:
        return {}
    case = alert.cases[0]
    told = {"case": f"{case.tenant_id}/{case.conversation_id}", "case_category": case.category}
    if case.message_id is not None:
        told["evidence"] = (
            f"message {case.message_index} ({case.message_id}), part {case.part_index}, "
            f"characters {case.start} to {case.end}"
        )
    if links.case:
        told["case_link"] = _link(links.case, case)
    return told


def _link(template: str, case: Case) -> str:
    """Other braces in the template are left as they are. Quoted ids hold none, so nothing is filled in twice."""
    ids = {"tenant": case.tenant_id, "conversation": case.conversation_id, "verdict": case.verdict_id}
    for name, value in ids.items():
        template = template.replace(f"{{{name}}}", quote(value, safe=""))
    return template


def silenced_fingerprints(alerts: Iterable[Any]) -> frozenset[str]:
    """Of what `GET /api/v2/alerts` answers, the alerts of ours that somebody has silenced."""
    found = set()
    for alert in alerts:
        labels, status = alert.get("labels", {}), alert.get("status", {})
        if FINGERPRINT in labels and status.get("silencedBy"):
            found.add(str(labels[FINGERPRINT]))
    return frozenset(found)
