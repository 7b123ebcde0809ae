"""Messages as Kafka records."""

from __future__ import annotations

import json
from typing import Any, Final
from uuid import UUID

from services.records import Outgoing, Record
from services.store.outbox import Message

MESSAGE_ID: Final = "plumbline-message-id"
"""The header that names a message, whatever the record says."""
_ENVELOPE_BYTES: Final = 1024  # more than what header and batch add
_LARGE: Final[dict[str, Any]] = {"messages": None, "evidence": [], "corrected_answer": None, "spans": []}
"""What is left out of a record that is too large, the first first: the database has all of it."""


def outgoing(message: Message, most_bytes: int) -> Outgoing | None:
    """The record; where it would be too large, without as much as makes it fit. None where nothing does."""
    names = [name for name in _LARGE if name in message.value]
    for count in range(len(names) + 1):
        record = _record(message, names[:count])
        if len(record.key or b"") + len(record.value) + _ENVELOPE_BYTES <= most_bytes:
            return record
    return None


def bare(message: Message) -> Outgoing:
    """The record without all that may be large."""
    return _record(message, [name for name in _LARGE if name in message.value])


def message_id(record: Record) -> UUID | None:
    """Which message the record is; None for what others wrote."""
    written = dict(record.headers).get(MESSAGE_ID, b"").decode("ascii", "replace")
    try:
        return UUID(written)
    except ValueError:
        return None


def _record(message: Message, without: list[str]) -> Outgoing:
    value = dict(message.value)
    if without:
        value |= {name: _LARGE[name] for name in without} | {"omitted": "too large"}
    header = (MESSAGE_ID, str(message.message_id).encode())
    return Outgoing(message.topic, message.key.encode(), _json(value), (header,))


def _json(value: dict[str, Any]) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair: only an escape can say that
        return json.dumps(value).encode()
