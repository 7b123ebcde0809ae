"""Cases: flagged conversations, from the first flag to somebody's acknowledgement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from alerting.severity import Severity, severity_of
from detectors.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """One flagged conversation. `category` is the gravest verdict's first one."""

    tenant_id: str
    conversation_id: str
    opened_at: datetime
    severity: Severity
    category: str
    flagged_verdicts: int
    last_verdict_id: UUID
    last_flagged_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None


def cases_of(verdicts: Iterable[Verdict], now: datetime) -> list[Case]:
    """What new `verdicts` add to cases, one a conversation. Probes, and verdicts that decide nothing, open none."""
    found: dict[tuple[str, str], Case] = {}
    for verdict in verdicts:
        if not verdict.flagged or verdict.synthetic or not verdict.arm.decides:
            continue
        key = (verdict.tenant_id, verdict.conversation_id)
        before = found.get(key)
        severity = severity_of(verdict.flagged)
        graver = before is None or _RANK[severity] < _RANK[before.severity]
        found[key] = Case(
            *key,
            opened_at=now,
            severity=severity if before is None or graver else before.severity,
            category=verdict.flagged[0] if before is None or graver else before.category,
            flagged_verdicts=1 if before is None else before.flagged_verdicts + 1,
            last_verdict_id=verdict.verdict_id,
            last_flagged_at=verdict.decided_at,
        )
    return list(found.values())


_RANK = {severity: rank for rank, severity in enumerate(Severity)}
