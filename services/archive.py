"""What is kept of transcripts: events in, what may be stored of them out. Redaction happens here, once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from detectors.transcript import Message, TranscriptEvent
from services.store.conversations import RedactedEvent, RedactedMessage

_SUBJECTS: Final = ("plumbline.subject", "user.id", "enduser.id")
"""Attributes that may say whom a conversation is about (OpenTelemetry's names, and ours before them)."""


def subject_digest(subject: str, salt: bytes) -> str:
    """32 hex digits that stand for a person, and for nobody without the salt."""
    return hashlib.blake2b(subject.encode("utf-8", "surrogatepass"), key=salt[:64], digest_size=16).hexdigest()


def conversation_digest(tenant_id: str, conversation_id: str, salt: bytes) -> str:
    """32 hex digits that stand for a conversation where its id must not outlive it."""
    written = f"{len(tenant_id)}:{tenant_id}{conversation_id}".encode()
    return hashlib.blake2b(written, key=salt[:64], digest_size=16).hexdigest()


class Archivist:
    """Redacts what was not redacted before: senders that repeat a whole conversation with each event cost no more than
    those that send what is new. Remembers so many messages; for one that was forgotten the work is done again.
    """

    def __init__(
        self, redact: Callable[[Message, int], RedactedMessage], *, salt: bytes, remembered: int = 200_000
    ) -> None:
        self._redact = redact
        self._salt = salt
        self._remembered = remembered
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def redacted(self, event: TranscriptEvent) -> RedactedEvent:
        """What is stored of `event`."""
        new = []
        for index, message in enumerate(event.messages):
            position = event.first_message + index
            if self._is_new(event, position, message.id):
                new.append(self._redact(message, position))
        return RedactedEvent(
            tenant_id=event.tenant_id,
            conversation_id=event.conversation_id,
            subject=self._subject(event),
            agent=event.agent,
            model=event.model,
            deployment=event.deployment,
            final=event.final,
            occurred_at=event.occurred_at,
            messages=tuple(new),
        )

    def _is_new(self, event: TranscriptEvent, position: int, message_id: str) -> bool:
        parts = (event.tenant_id, event.conversation_id, str(position), message_id)
        written = "".join(f"{len(part)}:{part}" for part in parts).encode()
        key = hashlib.blake2b(written, digest_size=12).digest()
        if key in self._known:
            self._known.move_to_end(key)
            return False
        self._known[key] = None
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return True

    def _subject(self, event: TranscriptEvent) -> str | None:
        for name in _SUBJECTS:
            value = event.attributes.get(name)
            if isinstance(value, str | int) and str(value):
                return subject_digest(str(value), self._salt)
        return None
