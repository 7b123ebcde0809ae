"""Looking after cases: who looks at which, until when it may wait, what is said about it, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from alerting.severity import Severity
from services.store import audit, cases
from services.store.database import Transaction
from services.store.outbox import Channel
from services.triage import alerts_of
from services.triage.case import UNSEEN, Case, CaseState, answer_by, decide_by, follows
from services.triage.errors import NotAllowedError
from services.triage.rules import Actor, Rules, acknowledged, locked, visible

_LONGEST_SLEEP: Final = timedelta(days=30)


@dataclass(frozen=True)
class Handling(Rules):
    """See `services.triage.actions`."""

    def acknowledge(self, tx: Transaction, actor: Actor, case_id: UUID, version: int, now: datetime) -> Case:
        """Somebody looks at it: it is theirs, unless it is somebody's already, and its alerts are silenced."""
        case = locked(tx, actor, case_id, version)
        if case.state not in UNSEEN:
            raise NotAllowedError(f"the case is {case.state} already")
        after = acknowledged(case, actor, now)
        return self._changed(tx, actor, case, after, "acknowledged", now, silence=True)

    def assign(
        self, tx: Transaction, actor: Actor, case_id: UUID, version: int, owner: str | None, now: datetime
    ) -> Case:
        """Makes it `owner`'s, or nobody's."""
        case = locked(tx, actor, case_id, version)
        return self._changed(tx, actor, case, replace(case, owner=owner), "assigned", now, {"owner": owner})

    def snooze(
        self, tx: Transaction, actor: Actor, case_id: UUID, version: int, until: datetime | None, now: datetime
    ) -> Case:
        """Out of the queue until then; None: back in it."""
        case = locked(tx, actor, case_id, version)
        if until is not None and not now < until <= now + _LONGEST_SLEEP:
            raise NotAllowedError("a case sleeps for 30 days at most, and not into the past")
        told = {"until": until.isoformat() if until else None}
        return self._changed(tx, actor, case, replace(case, snoozed_until=until), "snoozed", now, told)

    def set_severity(
        self, tx: Transaction, actor: Actor, case_id: UUID, version: int, severity: Severity, now: datetime
    ) -> Case:
        """A person's word on how urgent it is; deadlines follow."""
        case = locked(tx, actor, case_id, version)
        after = replace(
            case,
            severity=severity,
            answer_by=answer_by(severity, case.opened_at),
            decide_by=decide_by(severity, case.opened_at),
        )
        return self._changed(tx, actor, case, after, "severity_set", now, {"severity": severity.value})

    def comment(self, tx: Transaction, actor: Actor, case_id: UUID, words: str, now: datetime) -> Case:
        """Adds a comment. It needs no version: nobody's work is lost by it."""
        case = visible(tx, actor, case_id)
        cases.add_event(tx, case, actor.name, "commented", now, {"text": self.redact(words), "version": case.version})
        audit.append(tx, now, actor.name, "case.comment", str(case_id), {})
        return case

    def link(self, tx: Transaction, actor: Actor, case_id: UUID, url: str, title: str, now: datetime) -> Case:
        """Adds a link to somewhere else."""
        case = visible(tx, actor, case_id)
        told = {"url": url, "title": self.redact(title), "version": case.version}
        cases.add_event(tx, case, actor.name, "linked", now, told)
        audit.append(tx, now, actor.name, "case.link", str(case_id), {})
        return case

    def resolve(self, tx: Transaction, actor: Actor, case_id: UUID, version: int, now: datetime) -> Case:
        """It is over: its alerts end. Flags that come back open it again as `regressed`."""
        case = locked(tx, actor, case_id, version)
        if case.state is CaseState.RESOLVED or not follows(case.state, CaseState.RESOLVED):
            raise NotAllowedError(f"a case that is {case.state} cannot be resolved")
        after = replace(case, state=CaseState.RESOLVED, resolved_at=now, snoozed_until=None)
        changed = self._changed(tx, actor, case, after, "resolved", now)
        self._end_alerts(tx, actor, changed, now)
        return changed

    def reopen(self, tx: Transaction, actor: Actor, case_id: UUID, version: int, now: datetime) -> Case:
        """Back to somebody who looks at it: the one who says so."""
        case = locked(tx, actor, case_id, version)
        if case.state in UNSEEN or not follows(case.state, CaseState.ACKNOWLEDGED):
            raise NotAllowedError(f"a case that is {case.state} cannot be opened again")
        after = replace(acknowledged(case, actor, now), resolved_at=None, decided_at=None)
        return self._changed(tx, actor, case, after, "reopened", now)

    def _end_alerts(self, tx: Transaction, actor: Actor, case: Case, now: datetime) -> None:
        """The correlator hears that the case is over, and stops saying otherwise; the silence is lifted."""
        members = [member.conversation_id for member in cases.members(tx, case.case_id)]
        for key, value in alerts_of.closings(case.tenant_id, members, at=now):
            self._leaves(tx, Channel.KAFKA, self.alert_topic, key, value, case.case_id, now)
        expiry = alerts_of.expiry(case, by=actor.name)
        self._leaves(tx, Channel.ALERTMANAGER, "expire", str(case.case_id), expiry, case.case_id, now)
