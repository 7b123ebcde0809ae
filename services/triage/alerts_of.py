"""What Alertmanager and the correlator are told about a case's alerts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from alerting.finding import fingerprint
from services.triage.case import Case

ABOUT_CONVERSATIONS: Final = ("CaseFlagged", "SlowBurnConversation")
"""Alerts whose subject is one conversation (`alerting.catalogue`)."""
_MOST: Final = 50


def silence(case: Case, conversations: Sequence[str], *, by: str, now: datetime, until: datetime) -> dict[str, Any]:
    """A silence, as `POST /api/v2/silences` takes it: somebody is looking at the case."""
    listed = "|".join(re.escape(conversation) for conversation in conversations[:_MOST])
    return {
        "matchers": [
            {"name": "source", "value": "correlator", "isRegex": False, "isEqual": True},
            {"name": "alertname", "value": "|".join(ABOUT_CONVERSATIONS), "isRegex": True, "isEqual": True},
            {"name": "tenant", "value": case.tenant_id, "isRegex": False, "isEqual": True},
            {"name": "conversation", "value": listed, "isRegex": True, "isEqual": True},
        ],
        "startsAt": now.isoformat(),
        "endsAt": until.isoformat(),
        "createdBy": by,
        "comment": comment(case.case_id),
    }


def comment(case_id: UUID) -> str:
    """What a case's silence is known by."""
    return f"case {case_id} is being looked at"


def expiry(case: Case, *, by: str) -> dict[str, Any]:
    """That silences of the case are to end. Which ones those are is known when they have been made."""
    return {"case_id": str(case.case_id), "by": by}


def closings(tenant_id: str, conversations: Sequence[str], *, at: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, value) of records of the alert topic that end the alerts of these conversations."""
    for conversation in conversations:
        for alert in ABOUT_CONVERSATIONS:
            key = fingerprint(alert, {"tenant": tenant_id, "conversation": conversation})
            yield key, {"closed": True, "fingerprint": key, "at": at.isoformat()}
