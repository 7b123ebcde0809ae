"""Tells of every revision once: in the audit log and on the topic `rollouts`, in one transaction.

A revision counts from when the registry has it. Who moved it may die before it is told of; whoever looks next tells.
Revisions are told of in order, so that behind one that was told of, all were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from deploy.rollout.state import Rollout
from services.rollout.revisions import Revisions
from services.store import Database, Transaction, audit, outbox
from services.store.outbox import Channel

SCHEMA_VERSION: Final = 1
TOPIC: Final = "rollouts"
_NAMESPACE: Final = UUID("0b0c7a2e-8a43-5d0f-9c39-6d0d53a9c2f1")
_AT_ONCE: Final = 64


class Journal:
    """`installation` names whose rollouts these are: the key on the topic."""

    def __init__(self, database: Database, revisions: Revisions, *, topic: str, installation: str) -> None:
        self._database = database
        self._revisions = revisions
        self._topic = topic
        self._installation = installation
        self._told: UUID | None = None

    def catch_up(self, now: datetime) -> list[Rollout]:
        """Tells of all revisions that nobody has told of, and returns these, oldest first. Raises `TransientError`."""
        newest = self._revisions.newest()
        if newest is None or self._id_of(newest) == self._told:
            return []
        waiting = self._untold()
        told: list[Rollout] = []
        if waiting:
            with self._database.write() as tx:
                told = self._tell(tx, waiting, now)
        self._told = self._id_of(newest)
        return told

    def _untold(self) -> list[Rollout]:
        """Oldest first. Goes back no further than to one that was told of."""
        limit = _AT_ONCE
        while True:
            found = self._revisions.latest(limit)
            with self._database.read() as tx:
                known = outbox.known(tx, [self._id_of(each) for each in found])
            missing = [each for each in found if self._id_of(each) not in known]
            if known or len(found) < limit:
                return missing[::-1]
            limit *= 4

    def _tell(self, tx: Transaction, waiting: Sequence[Rollout], now: datetime) -> list[Rollout]:
        """Those that nobody else has told of meanwhile. First all of the outbox, then the audit log: see there."""
        told = [each for each in waiting if self._put(tx, each, now)]
        for rollout in told:
            action = f"rollout.{rollout.step.value}"
            audit.append(tx, now, rollout.actor, action, f"rollout/{rollout.revision}", details_of(rollout))
        return told

    def _put(self, tx: Transaction, rollout: Rollout, now: datetime) -> bool:
        value = {"schema_version": SCHEMA_VERSION, "installation": self._installation}
        value |= rollout.model_dump(mode="json")
        return outbox.put_once(tx, self._id_of(rollout), Channel.KAFKA, self._topic, self._installation, value, now=now)

    def _id_of(self, rollout: Rollout) -> UUID:
        """The same for the same revision, and another one in another registry, or behind another revision."""
        parts = (self._installation, str(rollout.revision), rollout.at.isoformat(), rollout.step.value, rollout.stable)
        return uuid5(_NAMESPACE, "\n".join((*parts, rollout.candidate or "")))


def details_of(rollout: Rollout) -> dict[str, Any]:
    """What the audit log says of a revision."""
    names = {"stage", "stable", "candidate", "previous", "share", "paused", "reason", "at"}
    return rollout.model_dump(mode="json", include=names)


def installation_of(salt: bytes) -> str:
    """16 hex digits that name the installation whose secret this is, and do not give it away."""
    return hashlib.blake2b(b"installation", key=salt[:64], digest_size=8).hexdigest()
