"""Decisions about conversations: made, taken back, and made again by somebody else who does not know of the first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from services.store import audit, cases, conversations, labels, outbox, verdicts
from services.store.database import Transaction
from services.store.outbox import Channel
from services.triage import retraining
from services.triage.case import DECIDED, UNSEEN, Case, CaseState, Disposition, Origin, follows
from services.triage.errors import NotAllowedError, NotFoundError
from services.triage.label import Decision, Label, Review, Source
from services.triage.queue import Member
from services.triage.rules import Actor, Rules, acknowledged, locked
from services.triage.sampling import second_review

_STATES: Final = {
    Disposition.CONFIRMED: CaseState.CONFIRMED,
    Disposition.DISMISSED: CaseState.DISMISSED,
    Disposition.UNSURE: CaseState.UNSURE,
}

_TEACHES: Final = (Disposition.CONFIRMED, Disposition.DISMISSED)
"""What detectors are retrained with. Who was unsure has said nothing that one could learn."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision."""

    case: Case
    label: Label


@dataclass(frozen=True)
class Deciding(Rules):
    """See `services.triage.actions`."""

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
        case = locked(tx, actor, case_id, version)
        state = _STATES[decision.disposition]
        if not follows(case.state, state):
            raise NotAllowedError(f"a case that is {case.state} is not decided about")
        member = _member(tx, case, decision.conversation_id)
        mine = self._standing_of(tx, actor, case, decision.conversation_id)
        source = Source.BULK if bulk else Source.AUDIT if case.origin is Origin.AUDIT else Source.TRIAGE
        label = self._label(tx, actor, case, member, decision, now, source=source, before=mine)
        looked = acknowledged(case, actor, now) if case.state in UNSEEN else case
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
        case = locked(tx, actor, label.case_id, None)
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

    def review(self, tx: Transaction, actor: Actor, review_id: UUID, decision: Decision, now: datetime) -> Label:
        """A blind second look. It changes no case: where two people disagree, a third one should see both."""
        found = labels.get_review(tx, review_id, lock=True)
        if found is None or found.first_reviewer == actor.name or not actor.sees(found.tenant_id):
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
            corrected_answer=self._masked(decision.corrected_answer),
            comment=self._masked(decision.comment),
            source=source,
            blind=source is Source.SECOND or not any(each.reviewer != actor.name for each in others),
            seconds=decision.seconds,
            supersedes=before.label_id if before else None,
            bundle_version=verdict.bundle_version if verdict else "",
            created_at=now,
        )
        labels.add(tx, label)
        return label

    def _masked(self, written: str | None) -> str | None:
        return None if written is None else self.redact(written)

    def _standing_of(self, tx: Transaction, actor: Actor, case: Case, conversation_id: str) -> Label | None:
        """The person's own decision that nothing supersedes; second looks stand for themselves."""
        own = [
            label
            for label in labels.of_conversation(tx, case.tenant_id, conversation_id)
            if label.reviewer == actor.name and label.source is not Source.SECOND
        ]
        gone = {label.supersedes for label in own}
        standing = [each for each in own if each.label_id not in gone and each.disposition is not Disposition.RETRACTED]
        return standing[-1] if standing else None

    def _send(self, tx: Transaction, label: Label, case: Case, now: datetime) -> None:
        """What somebody is sure of leaves for retraining, once it can no longer be taken back for nothing."""
        verdict = verdicts.get(tx, label.verdict_id)
        if label.disposition not in _TEACHES or verdict is None:
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
        key = retraining.key_of(label.tenant_id, label.conversation_id)
        self._leaves(tx, Channel.KAFKA, self.queue_topic, key, retraining.withdrawn(label, now), label.label_id, now)

    def _ask_for_second(self, tx: Transaction, label: Label, now: datetime) -> None:
        """For a share of decisions, which nobody can tell beforehand."""
        if label.source is Source.BULK or label.disposition not in _TEACHES:
            return
        if second_review(retraining.key_of(label.tenant_id, label.conversation_id), self.second_share, self.salt):
            place = (label.case_id, label.tenant_id, label.conversation_id, label.verdict_id)
            labels.add_review(tx, Review(self.new_id(), *place, label.reviewer, now, None, None, None))


def _member(tx: Transaction, case: Case, conversation_id: str) -> Member:
    found = cases.member(tx, case.tenant_id, conversation_id)
    if found is None or found.case_id != case.case_id:
        raise NotFoundError("the conversation does not belong to the case")
    return found
