"""What people do to cases, each inside a transaction that somebody else opens and ends.

Whoever changes a case says which `version` of it they saw. Nothing here looks at roles: see `services.accounts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from alerting.severity import Severity
from services.store import audit, cases, conversations, labels, outbox, verdicts
from services.store.database import Transaction
from services.store.outbox import Channel
from services.triage import alerts_of, retraining
from services.triage.case import DECIDED, UNSEEN, Case, CaseState, Disposition, Origin, answer_by, decide_by, follows
from services.triage.errors import ConflictError, NotAllowedError, NotFoundError
from services.triage.label import Decision, Label, Review, Source
from services.triage.queue import Member
from services.triage.sampling import second_review

MOST_AT_ONCE: Final = 200
_STATES: Final = {
    Disposition.CONFIRMED: CaseState.CONFIRMED,
    Disposition.DISMISSED: CaseState.DISMISSED,
    Disposition.UNSURE: CaseState.UNSURE,
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it. `tenants` None: all."""

    name: str
    tenants: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision."""

    case: Case
    label: Label


@dataclass(frozen=True, slots=True)
class Actions:
    """Rules of the house: how long a decision can be taken back for nothing, and which share is looked at twice."""

    queue_topic: str
    alert_topic: str
    salt: bytes
    undo_for: timedelta = timedelta(seconds=10)
    second_share: float = 0.1
    silence_for: timedelta = timedelta(hours=24)
    new_id: Callable[[], UUID] = uuid4

    def acknowledge(self, tx: Transaction, actor: Actor, case_id: UUID, version: int, now: datetime) -> Case:
        """Somebody looks at it: it is theirs, unless it is somebody's already, and its alerts are silenced."""
        case = _mine(tx, actor, case_id, version)
        if case.state not in UNSEEN:
            raise NotAllowedError(f"the case is {case.state} already")
        after = _acknowledged(case, actor, now)
        return self._changed(tx, actor, case, after, "acknowledged", now, silence=True)

    def assign(
        self, tx: Transaction, actor: Actor, case_id: UUID, version: int, owner: str | None, now: datetime
    ) -> Case:
        """Makes it `owner`'s, or nobody's."""
        case = _mine(tx, actor, case_id, version)
        return self._changed(tx, actor, case, replace(case, owner=owner), "assigned", now, {"owner": owner})

    def snooze(
        self, tx: Transaction, actor: Actor, case_id: UUID, version: int, until: datetime | None, now: datetime
    ) -> Case:
        """Out of the queue until then; None: back in it."""
        case = _mine(tx, actor, case_id, version)
        if until is not None and not now < until <= now + timedelta(days=30):
            raise NotAllowedError("a case sleeps for 30 days at most, and not into the past")
        told = {"until": until.isoformat() if until else None}
        return self._changed(tx, actor, case, replace(case, snoozed_until=until), "snoozed", now, told)

    def set_severity(
        self, tx: Transaction, actor: Actor, case_id: UUID, version: int, severity: Severity, now: datetime
    ) -> Case:
        """A person's word on how urgent it is; deadlines follow."""
        case = _mine(tx, actor, case_id, version)
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
        cases.add_event(tx, case, actor.name, "commented", now, {"text": words, "version": case.version})
        audit.append(tx, now, actor.name, "case.comment", str(case_id), {})
        return case

    def link(self, tx: Transaction, actor: Actor, case_id: UUID, url: str, title: str, now: datetime) -> Case:
        """Adds a link to somewhere else."""
        case = visible(tx, actor, case_id)
        told = {"url": url, "title": title, "version": case.version}
        cases.add_event(tx, case, actor.name, "linked", now, told)
        audit.append(tx, now, actor.name, "case.link", str(case_id), {})
        return case

    def decide(
        self,
        tx: Transaction,
        actor: Actor,
        case_id: UUID,
        version: int,
        decision: Decision,
        now: datetime,
        *,
        bulk: bool = False,
    ) -> Decided:
        """A label for one conversation of the case, and with it a state for the case."""
        case = _mine(tx, actor, case_id, version)
        state = _STATES[decision.disposition]
        if not follows(case.state, state):
            raise NotAllowedError(f"a case that is {case.state} is not decided about")
        member = _member(tx, case, decision.conversation_id)
        mine = self._standing_of(tx, actor, case, decision.conversation_id)
        source = Source.BULK if bulk else Source.AUDIT if case.origin is Origin.AUDIT else Source.TRIAGE
        label = self._label(tx, actor, case, member, decision, now, source=source, before=mine)
        looked = _acknowledged(case, actor, now) if case.state in UNSEEN else case
        after = replace(looked, state=state, decided_at=now)
        told = {
            "label_id": str(label.label_id),
            "conversation_id": label.conversation_id,
            "disposition": label.disposition.value,
            "category": label.category,
        }
        changed = self._changed(tx, actor, case, after, "decided", now, told, silence=case.state in UNSEEN)
        if mine is not None:
            self._withdraw(tx, mine, now)
        self._send(tx, label, changed, now)
        self._ask_for_second(tx, label, now)
        return Decided(changed, label)

    def undo(self, tx: Transaction, actor: Actor, label_id: UUID, now: datetime) -> Case:
        """Takes one's own latest decision back. What has left already is withdrawn."""
        label = labels.get(tx, label_id)
        if label is None or label.reviewer != actor.name:
            raise NotFoundError("there is no such decision of yours")
        case = _mine(tx, actor, label.case_id, None)
        standing = self._standing_of(tx, actor, case, label.conversation_id)
        if standing is None or standing.label_id != label_id:
            raise NotAllowedError("this decision does not stand any more")
        retraction = replace(
            label,
            label_id=self.new_id(),
            disposition=Disposition.RETRACTED,
            category=None,
            spans=(),
            corrected_answer=None,
            comment=None,
            seconds=None,
            supersedes=label_id,
            created_at=now,
        )
        labels.add(tx, retraction)
        labels.drop_reviews(tx, case.case_id, label.conversation_id, actor.name)
        self._withdraw(tx, label, now)
        after = replace(case, state=CaseState.ACKNOWLEDGED, decided_at=None) if case.state in DECIDED else case
        told = {"label_id": str(label_id), "conversation_id": label.conversation_id}
        return self._changed(tx, actor, case, after, "undone", now, told)

    def resolve(self, tx: Transaction, actor: Actor, case_id: UUID, version: int, now: datetime) -> Case:
        """It is over: its alerts end. Flags that come back open it again as `regressed`."""
        case = _mine(tx, actor, case_id, version)
        if case.state is CaseState.RESOLVED or not follows(case.state, CaseState.RESOLVED):
            raise NotAllowedError(f"a case that is {case.state} cannot be resolved")
        after = replace(case, state=CaseState.RESOLVED, resolved_at=now, snoozed_until=None)
        changed = self._changed(tx, actor, case, after, "resolved", now)
        self._end_alerts(tx, actor, changed, now)
        return changed

    def reopen(self, tx: Transaction, actor: Actor, case_id: UUID, version: int, now: datetime) -> Case:
        """Back to somebody who looks at it: the one who says so."""
        case = _mine(tx, actor, case_id, version)
        if case.state in UNSEEN or not follows(case.state, CaseState.ACKNOWLEDGED):
            raise NotAllowedError(f"a case that is {case.state} cannot be opened again")
        after = replace(_acknowledged(case, actor, now), resolved_at=None, decided_at=None)
        return self._changed(tx, actor, case, after, "reopened", now)

    def merge(self, tx: Transaction, actor: Actor, case_id: UUID, version: int, into: UUID, now: datetime) -> Case:
        """All of its conversations go to `into`, which is returned. Labels stay with the case they were given in."""
        if into == case_id:
            raise NotAllowedError("a case cannot be merged into itself")
        first, second = sorted((case_id, into))
        for each in (first, second):  # always in this order: two merges at once must not wait for each other
            cases.get(tx, each, lock=True)
        case, target = _mine(tx, actor, case_id, version), _mine(tx, actor, into, None)
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
        case = _mine(tx, actor, case_id, version)
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

    def review(self, tx: Transaction, actor: Actor, review_id: UUID, decision: Decision, now: datetime) -> Label:
        """A blind second look. It changes no case: where two people disagree, a third one should see both."""
        found = labels.get_review(tx, review_id, lock=True)
        if found is None or found.first_reviewer == actor.name or not _sees(actor, found.tenant_id):
            raise NotFoundError("there is no such second look for you")
        if found.done_at is not None:
            raise NotAllowedError("somebody else was faster")
        if decision.conversation_id != found.conversation_id:
            raise NotFoundError("this second look is about another conversation")
        case = cases.get(tx, found.case_id)
        if case is None:
            raise NotFoundError("its case is gone")
        member = Member(
            found.tenant_id, found.conversation_id, found.case_id, now, 0, found.verdict_id, case.category, None
        )
        label = self._label(tx, actor, case, member, decision, now, source=Source.SECOND, before=None)
        labels.finish_review(tx, review_id, by=actor.name, at=now, label_id=label.label_id)
        cases.add_event(tx, case, actor.name, "second_look", now, {"version": case.version})
        audit.append(tx, now, actor.name, "review.done", str(review_id), {"disposition": label.disposition.value})
        return label

    def _label(
        self,
        tx: Transaction,
        actor: Actor,
        case: Case,
        member: Member,
        decision: Decision,
        now: datetime,
        *,
        source: Source,
        before: Label | None,
    ) -> Label:
        verdict = verdicts.get(tx, member.last_verdict_id)
        others = [each for each in labels.of_conversation(tx, case.tenant_id, member.conversation_id) if each != before]
        label = Label(
            label_id=self.new_id(),
            case_id=case.case_id,
            tenant_id=case.tenant_id,
            conversation_id=member.conversation_id,
            verdict_id=member.last_verdict_id,
            reviewer=actor.name,
            disposition=decision.disposition,
            category=decision.category.value if decision.category else None,
            spans=decision.spans,
            corrected_answer=decision.corrected_answer,
            comment=decision.comment,
            source=source,
            blind=source is Source.SECOND or not any(each.reviewer != actor.name for each in others),
            seconds=decision.seconds,
            supersedes=before.label_id if before else None,
            bundle_version=verdict.bundle_version if verdict else "",
            created_at=now,
        )
        labels.add(tx, label)
        return label

    def _standing_of(self, tx: Transaction, actor: Actor, case: Case, conversation_id: str) -> Label | None:
        """The person's own decision about the conversation that nothing supersedes; second looks stand for themselves."""
        own = [
            label
            for label in labels.of_conversation(tx, case.tenant_id, conversation_id)
            if label.reviewer == actor.name and label.source is not Source.SECOND
        ]
        gone = {label.supersedes for label in own}
        standing = [each for each in own if each.label_id not in gone and each.disposition is not Disposition.RETRACTED]
        return standing[-1] if standing else None

    def _send(self, tx: Transaction, label: Label, case: Case, now: datetime) -> None:
        """A confirmed label leaves for retraining, once it can no longer be taken back for nothing."""
        verdict = verdicts.get(tx, label.verdict_id)
        if label.disposition is not Disposition.CONFIRMED or verdict is None:
            return
        messages = conversations.plain_messages(tx, label.tenant_id, label.conversation_id)
        outbox.put(
            tx,
            label.label_id,
            Channel.KAFKA,
            self.queue_topic,
            retraining.key_of(label.tenant_id, label.conversation_id),
            retraining.labelled(label, case, verdict, messages or None, salt=self.salt),
            subject_id=label.label_id,
            now=now,
            not_before=now + self.undo_for,
        )

    def _withdraw(self, tx: Transaction, label: Label, now: datetime) -> None:
        """What has not left does not leave; what has is taken back by a record of its own."""
        if outbox.cancel(tx, label.label_id, now) or not outbox.left(tx, label.label_id):
            return
        outbox.put(
            tx,
            self.new_id(),
            Channel.KAFKA,
            self.queue_topic,
            retraining.key_of(label.tenant_id, label.conversation_id),
            retraining.withdrawn(label, now),
            subject_id=label.label_id,
            now=now,
            not_before=now,
        )

    def _ask_for_second(self, tx: Transaction, label: Label, now: datetime) -> None:
        """For a share of decisions, which nobody can tell beforehand."""
        decided = label.disposition in (Disposition.CONFIRMED, Disposition.DISMISSED)
        if label.source is Source.BULK or not decided:
            return
        if second_review(retraining.key_of(label.tenant_id, label.conversation_id), self.second_share, self.salt):
            place = (label.case_id, label.tenant_id, label.conversation_id, label.verdict_id)
            labels.add_review(tx, Review(self.new_id(), *place, label.reviewer, now, None, None, None))

    def _changed(
        self,
        tx: Transaction,
        actor: Actor,
        before: Case,
        after: Case,
        kind: str,
        now: datetime,
        data: dict[str, Any] | None = None,
        *,
        silence: bool = False,
    ) -> Case:
        """Writes the case, what happened, what Alertmanager is to know, and the audit entry."""
        case = replace(after, version=before.version + 1, updated_at=now)
        cases.change(tx, case)
        told: dict[str, Any] = {**(data or {}), "version": case.version}
        if case.state is not before.state:
            told["state"] = case.state.value
        cases.add_event(tx, case, actor.name, kind, now, told)
        if silence:
            self._silence_alerts(tx, actor, case, now)
        details = {key: value for key, value in told.items() if key not in ("text", "url", "title")}
        audit.append(tx, now, actor.name, f"case.{kind}", str(case.case_id), details)
        return case

    def _silence_alerts(self, tx: Transaction, actor: Actor, case: Case, now: datetime) -> None:
        members = [member.conversation_id for member in cases.members(tx, case.case_id)]
        value = alerts_of.silence(case, members, by=actor.name, now=now, until=now + self.silence_for)
        key = str(case.case_id)
        message = self.new_id()
        outbox.put(
            tx, message, Channel.ALERTMANAGER, "silence", key, value, subject_id=case.case_id, now=now, not_before=now
        )

    def _end_alerts(self, tx: Transaction, actor: Actor, case: Case, now: datetime) -> None:
        """The correlator hears that the case is over, and stops saying otherwise; the silence is lifted."""
        members = [member.conversation_id for member in cases.members(tx, case.case_id)]
        for key, value in alerts_of.closings(case.tenant_id, members, at=now):
            outbox.put(
                tx,
                self.new_id(),
                Channel.KAFKA,
                self.alert_topic,
                key,
                value,
                subject_id=case.case_id,
                now=now,
                not_before=now,
            )
        value = alerts_of.expiry(case, by=actor.name)
        outbox.put(
            tx,
            self.new_id(),
            Channel.ALERTMANAGER,
            "expire",
            str(case.case_id),
            value,
            subject_id=case.case_id,
            now=now,
            not_before=now,
        )


def visible(tx: Transaction, actor: Actor, case_id: UUID) -> Case:
    """The case, if this person may know of it. Raises `NotFoundError`."""
    case = cases.get(tx, case_id)
    if case is None or not _sees(actor, case.tenant_id):
        raise NotFoundError("there is no such case")
    return case


def _mine(tx: Transaction, actor: Actor, case_id: UUID, version: int | None) -> Case:
    """The case, locked. Raises `NotFoundError`, and `ConflictError` where it is not in that version any more."""
    case = cases.get(tx, case_id, lock=True)
    if case is None or not _sees(actor, case.tenant_id):
        raise NotFoundError("there is no such case")
    if version is not None and case.version != version:
        since = [event for event in cases.events(tx, case_id) if event.data.get("version", 0) > version]
        raise ConflictError(case, since)
    return case


def _sees(actor: Actor, tenant_id: str) -> bool:
    return actor.tenants is None or tenant_id in actor.tenants


def _acknowledged(case: Case, actor: Actor, now: datetime) -> Case:
    """The first to look stays the first, until flags call for a new look."""
    first = case.acknowledged_at is None
    return replace(
        case,
        state=CaseState.ACKNOWLEDGED,
        owner=case.owner or actor.name,
        acknowledged_at=now if first else case.acknowledged_at,
        acknowledged_by=actor.name if first else case.acknowledged_by,
    )


def _member(tx: Transaction, case: Case, conversation_id: str) -> Member:
    found = cases.member(tx, case.tenant_id, conversation_id)
    if found is None or found.case_id != case.case_id:
        raise NotFoundError("the conversation does not belong to the case")
    return found


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
