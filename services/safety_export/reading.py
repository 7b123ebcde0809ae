"""Judged conversations out of the database: by labels that stand now. What was erased or taken back is not there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from detectors.codec.messages import normalise
from detectors.errors import RecordError
from detectors.transcript import Message
from detectors.verdict import Evidence, Verdict
from retrain.safety_data.judged import Judged, Judgement, Mark, Outcome
from services.archive import conversation_digest
from services.privacy.redaction import Redactor
from services.privacy.stored import StoredMessage, plain_message, stored_message
from services.store import conversations, labels, verdicts
from services.store.database import Database, Transaction
from services.store.labels import Standing
from services.triage.case import Disposition
from services.triage.label import Label, Span
from services.triage.retraining import reviewer_digest

_TEACHES: Final = {Disposition.CONFIRMED: Outcome.CONFIRMED, Disposition.DISMISSED: Outcome.DISMISSED}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which labels. `tenants` None: all."""

    tenants: frozenset[str] | None
    since: datetime


class Reading:
    """Reads what people judged. `answers` redacts what they wrote, which nobody did before; `again` what was said, too.

    Conversations, and people, are told apart by digests with `salt`.
    """

    def __init__(self, database: Database, *, salt: bytes, answers: Redactor, again: Redactor | None) -> None:
        self._database = database
        self._salt = salt
        self._answers = answers
        self._again = again

    def judged(self, wanted: Wanted) -> list[Judged]:
        """Every conversation with a label that stands and says what it is."""
        with self._database.read() as tx:
            by_place: dict[tuple[str, str], list[Standing]] = defaultdict(list)
            for standing in _standing(tx, wanted):
                if standing.label.disposition in _TEACHES:
                    by_place[standing.label.tenant_id, standing.label.conversation_id].append(standing)
            return [found for place, given in by_place.items() if (found := self._conversation(tx, *place, given))]

    def standing(self, wanted: Wanted) -> frozenset[str]:
        """Ids of the labels that stand now."""
        with self._database.read() as tx:
            return frozenset(str(each.label.label_id) for each in _standing(tx, wanted))

    def _conversation(
        self, tx: Transaction, tenant_id: str, conversation_id: str, given: Iterable[Standing]
    ) -> Judged | None:
        """None where nothing is known of it but the labels."""
        facts = conversations.get(tx, tenant_id, conversation_id)
        judgements = sorted(self._judgements(tx, given), key=lambda each: (each.labelled_at, each.label_id))
        if facts is None or not judgements:
            return None
        stored = conversations.messages(tx, tenant_id, conversation_id)
        return Judged(
            conversation=conversation_digest(tenant_id, conversation_id, self._salt),
            tenant=tenant_id,
            messages={each.position: _message(each, self._again) for each in stored},
            agent=facts.agent,
            model=facts.model,
            deployment=facts.deployment,
            judgements=tuple(judgements),
        )

    def _judgements(self, tx: Transaction, given: Iterable[Standing]) -> Iterator[Judgement]:
        for standing in given:
            verdict = verdicts.get(tx, standing.label.verdict_id)
            if verdict is not None:
                yield self._judgement(standing, verdict)

    def _judgement(self, standing: Standing, verdict: Verdict) -> Judgement:
        label = standing.label
        return Judgement(
            label_id=str(label.label_id),
            outcome=_TEACHES[label.disposition],
            category=label.category or standing.case_category,
            spans=tuple(map(_span, label.spans)),
            corrected_answer=_redacted(label, self._answers),
            reviewer=reviewer_digest(label.reviewer, self._salt),
            source=label.source.value,
            origin=standing.case_origin,
            labelled_at=label.created_at,
            bundle_version=label.bundle_version or verdict.bundle_version,
            arm=verdict.arm,
            detectors=tuple((each.name, each.version) for each in verdict.detectors),
            flagged=tuple(verdict.flagged),
            evidence=tuple(map(_evidence, verdict.evidence)),
        )


def _standing(tx: Transaction, wanted: Wanted) -> Iterator[Standing]:
    """All of them, oldest first: the store gives so many at a time."""
    seen: set[UUID] = set()
    since = wanted.since
    while new := [each for each in labels.standing(tx, wanted.tenants, since=since) if each.label.label_id not in seen]:
        yield from new
        seen |= {each.label.label_id for each in new}
        since = new[-1].label.created_at


def _redacted(label: Label, redactor: Redactor) -> str | None:
    """People write what they have seen elsewhere, too."""
    return None if label.corrected_answer is None else redactor.redact(label.corrected_answer).text


def _span(span: Span) -> Mark:
    return Mark(span.message_index, span.part_index)


def _evidence(evidence: Evidence) -> Mark:
    return Mark(evidence.message_index, evidence.part_index, evidence.category, evidence.weight)


def _message(stored: StoredMessage, again: Redactor | None) -> Message:
    """As it was recorded, with the id that verdicts know it by."""
    message = _plain(stored)
    if again is not None:
        message = _plain(stored_message(message, stored.position, again))
    return message.model_copy(update={"id": stored.id})


def _plain(stored: StoredMessage) -> Message:
    raw: Any = plain_message(stored)
    try:
        return normalise([raw], stored.position)[0]
    except RecordError:  # a role that redaction emptied: nothing can be said about who said it
        return Message(id=stored.id, role="unknown", parts=())
