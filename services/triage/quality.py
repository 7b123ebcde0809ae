"""How far labels and detectors can be trusted, from what people decided: read from the database, told as numbers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Verdict
from services.store import cases, counting, labels, verdicts
from services.store.database import Transaction
from services.store.labels import Standing
from services.triage.agreement import agreement, pairs, ratings
from services.triage.case import Case, Disposition, Origin
from services.triage.estimates import Tally
from services.triage.estimates import quality as estimated
from services.triage.label import Source
from services.triage.next_up import Candidate, next_up
from services.triage.queue import CaseFilter, Order
from services.triage.reviewers import biases, statistics

_SEED: Final = 20_260_101  # the same numbers whenever the same labels are looked at
_CANDIDATES: Final = 500
_LABELLED: Final = 500
_THRESHOLD: Final = 0.5


class Quality(BaseModel):
    """Everything with an interval has `value`, `low`, `high` (95 %) and `of`: how many it rests on. None: too few."""

    labels: int
    audited: int
    agreement: dict[str, Any] | None
    pairs: list[dict[str, Any]]
    reviewers: list[dict[str, Any]]
    biases: list[dict[str, Any]]
    missed: dict[str, Any] | None
    precision: dict[str, Any] | None
    recall: dict[str, Any] | None


def measured(tx: Transaction, tenants: frozenset[str] | None, *, days: int, now: datetime) -> Quality:
    """Over the labels of the last `days`."""
    since = now - timedelta(days=days)
    standing = labels.standing(tx, tenants, since=since)
    every = [each.label for each in standing]
    firsts = [each for each in standing if each.label.source not in (Source.SECOND, Source.BULK)]
    audit = [each for each in firsts if each.case_origin == Origin.AUDIT]
    flagged = [each for each in firsts if each.case_origin == Origin.FLAG]
    kinds = {each.label.label_id: each.case_category for each in standing}
    rng = np.random.default_rng(_SEED)
    counts = counting.conversations(tx, tenants, since=since)
    found = estimated(
        audit=_tally(audit),
        flagged=_tally(flagged),
        flagged_conversations=counts.flagged,
        unflagged_conversations=counts.unflagged,
        rng=rng,
    )
    together = agreement(ratings(every), rng)
    return Quality(
        labels=len(every),
        audited=len(audit),
        agreement=asdict(together) if together else None,
        pairs=[asdict(pair) for pair in pairs(ratings(every))],
        reviewers=[asdict(each) for each in statistics(every)],
        biases=[asdict(each) for each in biases(every, lambda label: kinds[label.label_id], rng)],
        missed=asdict(found.missed) if found.missed else None,
        precision=asdict(found.precision) if found.precision else None,
        recall=asdict(found.recall) if found.recall else None,
    )


def _tally(given: list[Standing]) -> Tally:
    """One decision for each conversation: the latest."""
    latest = {(each.label.tenant_id, each.label.conversation_id): each.label.disposition for each in given}
    return Tally.of(latest.values())


def most_instructive(tx: Transaction, tenants: frozenset[str] | None, *, now: datetime, limit: int) -> list[Case]:
    """Waiting cases, those first whose labels would teach detectors most."""
    wanted = CaseFilter(tenants=tenants, waiting=True)
    waiting = cases.page(tx, wanted, Order.NEWEST, None, limit=_CANDIDATES, now=now)
    known = {str(case.case_id): case for case in waiting if case.score is not None}
    judged = {case.case_id: verdicts.get(tx, case.last_verdict_id) for case in known.values()}
    candidates = [
        Candidate(key, case.score or 0.0, _threshold(case, judged[case.case_id]), case.sketch)
        for key, case in known.items()
    ]
    done = CaseFilter(tenants=tenants, waiting=False)
    decided = cases.page(tx, done, Order.NEWEST, None, limit=_LABELLED, now=now)
    taught = [case.sketch for case in decided if case.state.value in (Disposition.CONFIRMED, Disposition.DISMISSED)]
    return [known[candidate.key] for candidate in next_up(candidates, taught, limit)]


def _threshold(case: Case, verdict: Verdict | None) -> float:
    if verdict is None:
        return _THRESHOLD
    return verdict.thresholds.get(case.category, verdict.thresholds.get(MISALIGNMENT, _THRESHOLD))
