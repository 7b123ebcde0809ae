"""Records of the retraining queue in, labels in the database out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import JsonValue

from detectors.codec.json_bytes import parse as parse_json
from detectors.errors import RecordError
from retrain import queued
from services.archive import conversation_digest
from services.dead_letters import DeadLetter, dead_letter
from services.loop_metrics import RetrainerMetrics
from services.records import Record
from services.retraining.erasing import Erasing
from services.store import audit, loop, queued_labels
from services.store.database import Database, Transaction
from services.store.queued_labels import Arrived
from services.stream import Handled

_SYSTEM: Final = "plumbline"
_NUL: Final = "\0"
Told = tuple[queued.Record, dict[str, Any]]
"""What a record says, and the record as it came."""


@dataclass(frozen=True, slots=True)
class QueuedBatch:
    """A batch by what can be read of it, in the order in which it came."""

    told: Sequence[Told]
    unreadable: Sequence[DeadLetter]


class QueueKeeper:
    """A `Handler`: what has been delivered is in the database, each label once, however often its record comes.

    What was erased is erased from dataset versions on disk as well before the record counts as handled.
    """

    def __init__(
        self,
        database: Database,
        erasing: Erasing,
        *,
        salt: bytes,
        metrics: RetrainerMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._erasing = erasing
        self._salt = salt
        self._metrics = metrics
        self._clock = clock

    def prepare(self, records: Sequence[Record]) -> QueuedBatch:
        """Decodes."""
        told: list[Told] = []
        unreadable: list[DeadLetter] = []
        for record in records:
            try:
                told.append(_read(record.value or b""))
            except RecordError as error:
                unreadable.append(dead_letter(record, error.code, error.reason, self._clock()))
        return QueuedBatch(told, unreadable)

    def complete(self, prepared: QueuedBatch) -> Handled:
        """Writes, in one transaction; then erases on disk what is erased there. Raises `TransientError`."""
        now = self._clock()
        outcomes: dict[str, int] = {}
        with self._database.write() as tx:
            erased: list[tuple[str, int]] = []
            for said, record in prepared.told:
                outcome = self._kept(tx, said, record, now, erased)
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
            for digest, labels in erased:  # last: see there
                audit.append(tx, now, _SYSTEM, "labels.erased", digest, {"labels": labels})
        if any(isinstance(said, queued.Erased) for said, _ in prepared.told):
            self._erasing.sweep(again=True)
        for outcome, count in outcomes.items():
            self._metrics.labels.labels(outcome).inc(count)
        return Handled(dead_letters=prepared.unreadable, outcomes=outcomes)

    def _kept(
        self,
        tx: Transaction,
        said: queued.Record,
        record: dict[str, Any],
        now: datetime,
        erased: list[tuple[str, int]],
    ) -> str:
        """What became of one record."""
        match said:
            case queued.QueuedLabel():
                return "taken" if queued_labels.put(tx, _arrived(said, record), now) else "known"
            case queued.Withdrawn():
                queued_labels.withdraw(tx, said.label_id, said.tenant_id, said.conversation_id, now)
                return "withdrawn"
            case queued.Erased():
                gone = queued_labels.erase(tx, said.tenant_id, said.conversation_id, said.label_ids, now)
                loop.forget(tx, said.tenant_id, said.conversation_id)
                if gone:
                    erased.append((conversation_digest(said.tenant_id, said.conversation_id, self._salt), gone))
                return "erased"


def _read(value: bytes) -> Told:
    record = parse_json(value)
    try:
        said = queued.parse(record)
    except ValueError as error:
        raise RecordError("bad_label", str(error)) from None
    if not isinstance(record, dict) or not _storable(record):
        raise RecordError("not_storable", "a NUL character is in it, which databases do not take")
    return said, record


def _storable(value: JsonValue) -> bool:
    match value:
        case str():
            return _NUL not in value
        case list():
            return all(map(_storable, value))
        case dict():
            return all(_NUL not in name and _storable(each) for name, each in value.items())
        case _:
            return True


def _arrived(label: queued.QueuedLabel, record: dict[str, Any]) -> Arrived:
    return Arrived(
        label_id=label.label_id,
        tenant_id=label.tenant_id,
        conversation_id=label.conversation_id,
        disposition=label.disposition,
        category=label.category,
        labelled_at=label.labelled_at,
        supersedes=label.supersedes,
        record=record,
    )
