"""Which conversations are one case, when people know better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.store import cases
from services.store.database import Transaction
from services.triage.case import Case, CaseState, answer_by, decide_by, follows
from services.triage.errors import NotAllowedError, NotFoundError
from services.triage.queue import Member
from services.triage.rules import Actor, Rules, locked


@dataclass(frozen=True)
class Regrouping(Rules):
    """See `services.triage.actions`."""

    def merge(self, tx: Transaction, actor: Actor, case_id: UUID, version: int, into: UUID, now: datetime) -> Case:
        """All of its conversations go to `into`, which is returned. Labels stay with the case they were given in."""
        if into == case_id:
            raise NotAllowedError("a case cannot be merged into itself")
        first, second = sorted((case_id, into))
        for each in (first, second):  # always in this order: two merges at once must not wait for each other
            cases.get(tx, each, lock=True)
        case, target = locked(tx, actor, case_id, version), locked(tx, actor, into, None)
        if case.tenant_id != target.tenant_id:
            raise NotAllowedError("cases of two tenants cannot be merged")
        if not follows(case.state, CaseState.MERGED) or target.state is CaseState.MERGED:
            raise NotAllowedError(f"a case that is {case.state} cannot be merged into one that is {target.state}")
        for member in cases.members(tx, case_id):
            cases.change_member(tx, replace(member, case_id=into))
        told = {"into": str(into), "from": str(case_id)}
        gone = replace(case, state=CaseState.MERGED, merged_into=into, conversations=0)
        self._changed(tx, actor, case, gone, "merged", now, told)
        after = replace(
            target,
            conversations=target.conversations + case.conversations,
            flagged_verdicts=target.flagged_verdicts + case.flagged_verdicts,
            last_flagged_at=max(target.last_flagged_at, case.last_flagged_at),
            score=max(target.score or 0.0, case.score or 0.0),
        )
        return self._changed(tx, actor, target, after, "merged", now, told)

    def split(
        self, tx: Transaction, actor: Actor, case_id: UUID, version: int, conversations_: Sequence[str], now: datetime
    ) -> Case:
        """These conversations get a case of their own, which is returned. At least one stays."""
        case = locked(tx, actor, case_id, version)
        there = cases.members(tx, case_id)
        moved = [member for member in there if member.conversation_id in set(conversations_)]
        kept = [member for member in there if member not in moved]
        if len(moved) != len(set(conversations_)) or not moved:
            raise NotFoundError("not all of these conversations belong to the case")
        if not kept:
            raise NotAllowedError("at least one conversation must stay")
        new = _of_members(case, moved, self.new_id(), now)
        cases.add(tx, new)
        for member in moved:
            cases.change_member(tx, replace(member, case_id=new.case_id))
        told = {"conversations": len(moved), "from": str(case_id), "to": str(new.case_id)}
        cases.add_event(tx, new, actor.name, "split", now, {**told, "version": new.version})
        lead = case.lead_conversation_id
        after = replace(
            case,
            conversations=len(kept),
            flagged_verdicts=sum(member.flagged_verdicts for member in kept),
            lead_conversation_id=lead if any(m.conversation_id == lead for m in kept) else kept[0].conversation_id,
            last_verdict_id=kept[-1].last_verdict_id,
        )
        self._changed(tx, actor, case, after, "split", now, told)
        return new


def _of_members(case: Case, moved: Sequence[Member], case_id: UUID, now: datetime) -> Case:
    return replace(
        case,
        case_id=case_id,
        fingerprint=None,  # what comes next with it belongs to the case that was there first
        sketch=None,
        signature=None,
        state=CaseState.OPEN,
        lead_conversation_id=moved[0].conversation_id,
        last_verdict_id=moved[-1].last_verdict_id,
        conversations=len(moved),
        flagged_verdicts=sum(member.flagged_verdicts for member in moved),
        score=max((member.score or 0.0 for member in moved), default=None),
        category=moved[0].category,
        owner=None,
        snoozed_until=None,
        acknowledged_at=None,
        acknowledged_by=None,
        decided_at=None,
        resolved_at=None,
        regressions=0,
        version=1,
        opened_at=now,
        updated_at=now,
        answer_by=answer_by(case.severity, now),
        decide_by=decide_by(case.severity, now),
    )
