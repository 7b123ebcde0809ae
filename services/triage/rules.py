"""What every action on a case has in common: who does it, on which version, and what is written down about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from services.store import audit, cases, outbox
from services.store.database import Transaction
from services.store.outbox import Channel
from services.triage import alerts_of
from services.triage.case import Case, CaseState
from services.triage.errors import ConflictError, NotFoundError

_PRIVATE: Final = frozenset({"text", "url", "title", "conversation_id"})
"""What events of a case may say and the audit log may not: nothing that somebody may ask to have erased is in it."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does it. `tenants` None: all."""

    name: str
    tenants: frozenset[str] | None

    def sees(self, tenant_id: str) -> bool:
        return self.tenants is None or tenant_id in self.tenants


@dataclass(frozen=True)
class Rules:
    """Rules of the house: how long a decision can be taken back for nothing, which share is looked at twice, how long
    alerts are silenced, what is masked of what people write, and where things go that leave.
    """

    queue_topic: str
    alert_topic: str
    salt: bytes
    undo_for: timedelta = timedelta(seconds=10)
    second_share: float = 0.1
    silence_for: timedelta = timedelta(hours=24)
    redact: Callable[[str], str] = str
    new_id: Callable[[], UUID] = uuid4

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
        details = {key: value for key, value in told.items() if key not in _PRIVATE}
        audit.append(tx, now, actor.name, f"case.{kind}", str(case.case_id), details)
        return case

    def _silence_alerts(self, tx: Transaction, actor: Actor, case: Case, now: datetime) -> None:
        members = [member.conversation_id for member in cases.members(tx, case.case_id)]
        value = alerts_of.silence(case, members, by=actor.name, now=now, until=now + self.silence_for)
        self._leaves(tx, Channel.ALERTMANAGER, "silence", str(case.case_id), value, case.case_id, now)

    def _leaves(
        self, tx: Transaction, channel: Channel, topic: str, key: str, value: dict[str, Any], about: UUID, now: datetime
    ) -> None:
        """At once: nothing waits for this to be taken back."""
        outbox.put(tx, self.new_id(), channel, topic, key, value, subject_id=about, now=now, not_before=now)


def visible(tx: Transaction, actor: Actor, case_id: UUID) -> Case:
    """The case, if this person may know of it. Raises `NotFoundError`."""
    case = cases.get(tx, case_id)
    if case is None or not actor.sees(case.tenant_id):
        raise NotFoundError("there is no such case")
    return case


def locked(tx: Transaction, actor: Actor, case_id: UUID, version: int | None) -> Case:
    """The case, locked. Raises `NotFoundError`, and `ConflictError` where it is not in that version any more."""
    case = cases.get(tx, case_id, lock=True)
    if case is None or not actor.sees(case.tenant_id):
        raise NotFoundError("there is no such case")
    if version is not None and case.version != version:
        since = [event for event in cases.events(tx, case_id) if event.data.get("version", 0) > version]
        raise ConflictError(case, since)
    return case


def acknowledged(case: Case, actor: Actor, now: datetime) -> Case:
    """The first to look stays the first, until flags call for a new look."""
    first = case.acknowledged_at is None
    return replace(
        case,
        state=CaseState.ACKNOWLEDGED,
        owner=case.owner or actor.name,
        acknowledged_at=now if first else case.acknowledged_at,
        acknowledged_by=actor.name if first else case.acknowledged_by,
    )
