"""Flagged verdicts become cases: each conversation joins the case that it belongs to, or opens one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from alerting.severity import Severity, severity_of
from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Status, Verdict
from services.store import cases
from services.store.database import Transaction
from services.triage.case import RANK, Case, CaseState, Origin, answer_by, decide_by
from services.triage.grouping import CaseProfile, Grouping, Profile, profile
from services.triage.queue import Member

_NAMESPACE: Final = UUID("2f0b5a3e-9f0d-5b51-8a43-66a5b9f0c1de")
SYSTEM: Final = "plumbline"
"""The actor of what nobody did."""
_CLOSED_TO_NEW: Final = frozenset({CaseState.DISMISSED, CaseState.UNSURE, CaseState.MERGED})
"""What was dismissed says nothing of the next conversation: it gets a case, and somebody's eyes, of its own."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes verdicts that were not known before, in the order in which they came.

    `audited` says of (tenant, conversation) whether it belongs to the random sample that people see unannounced.
    """

    grouping: Grouping = Grouping()
    audited: Callable[[str, str], bool] = lambda _tenant, _conversation: False

    def take(self, tx: Transaction, verdict: Verdict, now: datetime) -> None:
        """Opens a case, adds to one, or does nothing."""
        if verdict.synthetic or not verdict.arm.decides or verdict.status is Status.UNSCORED:
            return
        known = cases.member(tx, verdict.tenant_id, verdict.conversation_id)
        if known is not None:
            if verdict.flagged:
                _add(tx, known, verdict, now)
        elif verdict.flagged:
            self._place(tx, verdict, now)
        elif self.audited(verdict.tenant_id, verdict.conversation_id):
            _open(tx, verdict, now, Origin.AUDIT)

    def _place(self, tx: Transaction, verdict: Verdict, now: datetime) -> None:
        """A conversation that was not flagged before."""
        mine = profile(verdict)
        since = verdict.decided_at - self.grouping.window
        known = cases.kin(tx, verdict.tenant_id, mine.category, since=since)
        found = [case for case in known if case.origin is Origin.FLAG and case.state not in _CLOSED_TO_NEW]
        best = self.grouping.best(mine, [_profile(case) for case in found], verdict.decided_at)
        case = None if best is None else cases.get(tx, found[best].case_id, lock=True)
        if case is None or case.state in _CLOSED_TO_NEW:
            _open(tx, verdict, now, Origin.FLAG)
            return
        cases.add_member(tx, _member(verdict, case.case_id, now))
        after = _flagged_again(replace(case, conversations=case.conversations + 1), verdict, now)
        cases.change(tx, after)
        _tell(tx, after, "conversation_added", now, {"conversation_id": verdict.conversation_id}, before=case)


def _add(tx: Transaction, before: Member, verdict: Verdict, now: datetime) -> None:
    """One more flag for a conversation that belongs to a case already."""
    case = cases.get(tx, before.case_id, lock=True)
    if case is None:
        return
    member = _member(verdict, case.case_id, now)
    score = max(member.score or 0.0, before.score or 0.0)
    flags = before.flagged_verdicts + 1
    cases.change_member(tx, replace(member, added_at=before.added_at, flagged_verdicts=flags, score=score))
    after = _flagged_again(replace(case, origin=Origin.FLAG), verdict, now)
    cases.change(tx, after)
    if after.state is not case.state or after.severity is not case.severity:
        _tell(tx, after, "flagged_again", now, {"conversation_id": verdict.conversation_id}, before=case)


def _open(tx: Transaction, verdict: Verdict, now: datetime, origin: Origin) -> None:
    mine = profile(verdict)
    # An audit looks like a flag of the overall kind, which is never urgent.
    severity = severity_of(verdict.flagged) if origin is Origin.FLAG else Severity.MEDIUM
    observed = verdict.observed
    tools = observed.tools if observed else ()
    case = Case(
        case_id=uuid5(_NAMESPACE, str(verdict.verdict_id)),
        tenant_id=verdict.tenant_id,
        fingerprint=mine.fingerprint,
        state=CaseState.OPEN,
        severity=severity,
        category=mine.category if origin is Origin.FLAG else MISALIGNMENT,
        agent=mine.agent,
        model_version=(observed.model.version or observed.model.name) if observed else None,
        tool=tools[0] if len(tools) == 1 else None,
        origin=origin,
        score=score_of(verdict),
        lead_conversation_id=verdict.conversation_id,
        last_verdict_id=verdict.verdict_id,
        conversations=1,
        flagged_verdicts=int(bool(verdict.flagged)),
        sketch=mine.actions,
        signature=mine.prompt,
        owner=None,
        snoozed_until=None,
        opened_at=now,
        last_flagged_at=verdict.decided_at,
        answer_by=answer_by(severity, now),
        decide_by=decide_by(severity, now),
        acknowledged_at=None,
        acknowledged_by=None,
        decided_at=None,
        resolved_at=None,
        merged_into=None,
        regressions=0,
        version=1,
        updated_at=now,
    )
    cases.add(tx, case)
    cases.add_member(tx, _member(verdict, case.case_id, now))
    _tell(tx, case, "opened", now, {"conversation_id": verdict.conversation_id})


def score_of(verdict: Verdict) -> float | None:
    """The highest probability of what it was flagged for; the overall one where it was not."""
    found = [verdict.scores[label] for label in verdict.flagged if label in verdict.scores]
    if verdict.misalignment is not None and (MISALIGNMENT in verdict.flagged or not found):
        found.append(verdict.misalignment)
    return max(found, default=None)


def _flagged_again(case: Case, verdict: Verdict, now: datetime) -> Case:
    """`case` with one more flag. Severity only rises, and a rise or a return after the end calls for a new look."""
    severity = severity_of(verdict.flagged)
    graver = RANK[severity] < RANK[case.severity]
    returned = case.state is CaseState.RESOLVED
    seen_anew = returned or (graver and case.state is CaseState.ACKNOWLEDGED)
    after = replace(
        case,
        severity=severity if graver else case.severity,
        category=profile(verdict).category if graver else case.category,
        score=max(score_of(verdict) or 0.0, case.score or 0.0),
        flagged_verdicts=case.flagged_verdicts + 1,
        last_verdict_id=verdict.verdict_id,
        last_flagged_at=max(case.last_flagged_at, verdict.decided_at),
        version=case.version + 1,
        updated_at=now,
    )
    if not seen_anew:
        return after
    return replace(
        after,
        state=CaseState.REGRESSED if returned else CaseState.OPEN,
        regressions=case.regressions + int(returned),
        resolved_at=None,
        decided_at=None if returned else case.decided_at,
        acknowledged_at=None,
        acknowledged_by=None,
        answer_by=answer_by(after.severity, now),
        decide_by=decide_by(after.severity, now),
    )


def _member(verdict: Verdict, case_id: UUID, now: datetime) -> Member:
    return Member(
        tenant_id=verdict.tenant_id,
        conversation_id=verdict.conversation_id,
        case_id=case_id,
        added_at=now,
        flagged_verdicts=int(bool(verdict.flagged)),
        last_verdict_id=verdict.verdict_id,
        category=profile(verdict).category,
        score=score_of(verdict),
    )


def _profile(case: Case) -> CaseProfile:
    first = Profile(
        tenant_id=case.tenant_id,
        category=case.category,
        agent=case.agent,
        fingerprint=case.fingerprint,
        actions=case.sketch,
        prompt=case.signature,
    )
    return CaseProfile(first, case.last_flagged_at, case.conversations)


def _tell(
    tx: Transaction, case: Case, kind: str, now: datetime, data: dict[str, Any], *, before: Case | None = None
) -> None:
    changed = {} if before is None or before.state is case.state else {"state": case.state.value}
    graver = {} if before is None or before.severity is case.severity else {"severity": case.severity.value}
    cases.add_event(tx, case, SYSTEM, kind, now, {**data, **changed, **graver, "version": case.version})
