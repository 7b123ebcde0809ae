"""Which cases resemble one: for people to look at beside it, and to merge where they think so."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.store import cases
from services.store.database import Transaction
from services.triage.case import Case
from services.triage.grouping import Profile, similarity

_LOOKED_BACK: Final = timedelta(days=60)
_LOOKED_AT: Final = 500
_LEAST: Final = 0.2


def similar_cases(tx: Transaction, case: Case, now: datetime, *, limit: int) -> list[Case]:
    """The most similar first, of the latest 500 of the same tenant and category; what does not resemble is left out."""
    since = now - _LOOKED_BACK
    known = cases.kin(tx, case.tenant_id, case.category, since=since, limit=_LOOKED_AT)
    mine = _profile(case)
    found = []
    for other in known:
        same = case.fingerprint is not None and other.fingerprint == case.fingerprint
        alike = similarity(mine, _profile(other)) or 0.0
        if other.case_id != case.case_id and (same or alike >= _LEAST):
            found.append((same, alike, other))
    found.sort(key=lambda each: (not each[0], -each[1], str(each[2].case_id)))
    return [other for _, _, other in found[:limit]]


def _profile(case: Case) -> Profile:
    return Profile(case.tenant_id, case.category, case.agent, case.fingerprint, case.sketch, case.signature)
