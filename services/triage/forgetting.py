"""Retention and erasure: what is old is forgotten, and what somebody has the right to have erased is, everywhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from services.archive import conversation_digest, subject_digest
from services.store import audit, cases, conversations, erasure, idempotency, outbox
from services.store.database import Database, Transaction
from services.store.erasure import Erased
from services.store.outbox import Channel
from services.triage import retraining

_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Retention:
    """How long conversations are kept after the last that was heard of them: those of cases, and all others."""

    of_cases: timedelta
    of_others: timedelta
    idempotency_keys: timedelta = timedelta(days=2)


class Held(Protocol):
    """What came of telling exports: those that are rid of it, and those that could not be."""

    @property
    def thinned(self) -> tuple[str, ...]: ...

    @property
    def left(self) -> tuple[str, ...]: ...


class Exports(Protocol):
    """What left for others to train on: see `services.safety_export.register`."""

    def forget(self, conversations: Collection[str], labels: Collection[str]) -> Held: ...


class Forgetting:
    """Erases in small transactions, so that nobody waits for long; done again, it goes on where it was.

    `exports` None: nothing was ever exported.
    """

    def __init__(
        self,
        database: Database,
        *,
        queue_topic: str,
        salt: bytes,
        exports: Exports | None = None,
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._database = database
        self._queue_topic = queue_topic
        self._salt = salt
        self._exports = exports
        self._new_id = new_id

    def expire(self, retention: Retention, now: datetime) -> Erased:
        """Forgets what is older than it may be. What waits for a decision is old as well: it is not kept for that."""
        total = Erased()
        seen: set[tuple[str, str]] = set()
        while places := self._expired(retention, now, seen):
            with self._database.write() as tx:
                for place in places:
                    total += erasure.erase(tx, *place, now)[0]
        with self._database.write() as tx:
            idempotency.forget(tx, now - retention.idempotency_keys)
            if total != Erased():
                audit.append(tx, now, "plumbline", "retention", "conversations", _counted(total))
        return total

    def _expired(self, retention: Retention, now: datetime, seen: set[tuple[str, str]]) -> list[tuple[str, str]]:
        """The next ones; those of cases that may stay are looked at once."""
        with self._database.read() as tx:
            before = now - min(retention.of_others, retention.of_cases)
            old = conversations.older_than(tx, before, limit=_AT_ONCE + len(seen))
            found = []
            for place in (each for each in old if each not in seen):
                conversation = conversations.get(tx, *place)
                in_case = cases.member(tx, *place) is not None
                kept_for = retention.of_cases if in_case else retention.of_others
                if conversation is not None and conversation.last_at < now - kept_for:
                    found.append(place)
                else:
                    seen.add(place)
            return found

    def erase_subject(self, tenant_id: str, subject: str, *, actor: str, reason: str, now: datetime) -> Erased:
        """Erases every conversation about a person, as senders name them (`user.id`). Nothing of the name is kept."""
        digest = subject_digest(subject, self._salt)
        with self._database.read() as tx:
            found = conversations.of_subject(tx, tenant_id, digest)
        return self._erase(tenant_id, found, digest, actor=actor, reason=reason, now=now)

    def erase_conversation(
        self, tenant_id: str, conversation_id: str, *, actor: str, reason: str, now: datetime
    ) -> Erased:
        """Erases one conversation."""
        digest = conversation_digest(tenant_id, conversation_id, self._salt)
        return self._erase(tenant_id, [conversation_id], digest, actor=actor, reason=reason, now=now)

    def _erase(
        self, tenant_id: str, found: Iterable[str], digest: str, *, actor: str, reason: str, now: datetime
    ) -> Erased:
        total = Erased()
        for conversation_id in found:
            with self._database.write() as tx:
                erased, given = erasure.erase(tx, tenant_id, conversation_id, now)
                self._tell(tx, tenant_id, conversation_id, given, now)
                before = self._out_of_exports(tenant_id, conversation_id, given)
            total += erased + before + self._out_of_exports(tenant_id, conversation_id, given)
        with self._database.write() as tx:
            told: dict[str, Any] = {"tenant_id": tenant_id, "digest": digest, "reason": reason, "actor": actor}
            erasure.remember(tx, self._new_id(), **told, erased=total, now=now)
            audit.append(tx, now, actor, "erase", digest, {"tenant": tenant_id, **_counted(total)})
        return total

    def _out_of_exports(self, tenant_id: str, conversation_id: str, given: Iterable[UUID]) -> Erased:
        """Before the transaction ends, so that one that is killed here is done again; and after it, for the export that
        was just being made: from then on none can be that holds it.
        """
        if self._exports is None:
            return Erased()
        digest = conversation_digest(tenant_id, conversation_id, self._salt)
        held = self._exports.forget([digest], [str(label) for label in given])
        return Erased(exports=held.thinned, exports_left=held.left)

    def _tell(
        self, tx: Transaction, tenant_id: str, conversation_id: str, given: Iterable[UUID], now: datetime
    ) -> None:
        """Whoever reads the queue hears that it is to forget the conversation, whether it was sent labels or not."""
        number = self._new_id()
        value = retraining.erased(tenant_id, conversation_id, [str(label) for label in given], now)
        key = retraining.key_of(tenant_id, conversation_id)
        outbox.put(
            tx,
            number,
            Channel.KAFKA,
            self._queue_topic,
            key,
            value,
            subject_id=number,
            now=now,
            not_before=now,
        )


def _counted(erased: Erased) -> dict[str, Any]:
    return {name: getattr(erased, name) for name in Erased.__dataclass_fields__}
