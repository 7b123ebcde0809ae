"""What is said after a decision, and how to take it back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from services.store import labels
from services.store.database import Transaction
from services.triage.case import Disposition
from services.triage.label import Label
from services.web.pages.visit import Visit

_SAID_FOR: Final = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Toast:
    """A decision that was just made. `seconds`: until it leaves for retraining; 0: it has left, or does not leave."""

    label: Label
    seconds: int

    @property
    def leaves(self) -> bool:
        return self.label.disposition is Disposition.CONFIRMED


def toast_of(visit: Visit, label_id: UUID | None) -> Toast | None:
    """None for what was not decided just now, by this person, or was taken back since."""
    if label_id is None:
        return None
    label = visit.services.desk.read(lambda tx: _standing(tx, label_id))
    if label is None or label.reviewer != visit.person.account or visit.now - label.created_at > _SAID_FOR:
        return None
    left = label.created_at + visit.services.actions.undo_for - visit.now
    return Toast(label, max(0, round(left.total_seconds())))


def _standing(tx: Transaction, label_id: UUID) -> Label | None:
    label = labels.get(tx, label_id)
    if label is None:
        return None
    later = labels.of_conversation(tx, label.tenant_id, label.conversation_id)
    return None if any(each.supersedes == label_id for each in later) else label
