"""Triage as the settings say."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from detectors.transcript import Message
from services.archive import Archivist
from services.privacy.recognisers import redactor_of
from services.privacy.sealing import Sealer
from services.privacy.stored import stored_message
from services.settings import Settings
from services.store import Database, installation
from services.store.conversations import RedactedMessage
from services.triage.actions import Actions
from services.triage.intake import Intake
from services.triage.sampling import audited

_SALT: Final = "salt"


def salt_of(database: Database) -> bytes:
    """What draws and digests are keyed with: made once, and kept in the database."""
    with database.write() as tx:
        return installation.secret(tx, _SALT)


def actions_of(settings: Settings, salt: bytes) -> Actions:
    """The rules of the house, as configured. What people write is masked like what was said."""
    redactor = redactor_of(settings)
    return Actions(
        queue_topic=settings.topic("retraining.queue"),
        alert_topic=settings.topic("alerts"),
        salt=salt,
        undo_for=timedelta(seconds=settings.undo_seconds),
        second_share=settings.second_review_share,
        silence_for=timedelta(hours=settings.silence_hours),
        redact=lambda text: redactor.redact(text).text,
    )


def intake_of(settings: Settings, salt: bytes) -> Intake:
    """Which verdicts become cases, the random sample included."""
    share = settings.audit_sample_share
    return Intake(audited=lambda tenant, conversation: audited(tenant, conversation, share, salt))


def archivist_of(settings: Settings, salt: bytes) -> Archivist:
    """What is kept of transcripts. Raises `SettingsError` for a redaction or a key that makes no sense."""
    redactor, sealer = redactor_of(settings), Sealer.configured(settings)

    def redacted(message: Message, position: int) -> RedactedMessage:
        stored = stored_message(message, position, redactor)
        return RedactedMessage(stored, None if sealer is None else sealer.sealed(message, stored))

    return Archivist(redacted, salt=salt)
