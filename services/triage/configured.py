"""Triage as the settings say."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.settings import Settings
from services.store import Database, installation
from services.triage.actions import Actions

_SALT: Final = "salt"


def salt_of(database: Database) -> bytes:
    """What draws and digests are keyed with: made once, and kept in the database."""
    with database.write() as tx:
        return installation.secret(tx, _SALT)


def actions_of(settings: Settings, salt: bytes) -> Actions:
    """The rules of the house, as configured."""
    return Actions(
        queue_topic=settings.topic("retraining.queue"),
        alert_topic=settings.topic("alerts"),
        salt=salt,
        undo_for=timedelta(seconds=settings.undo_seconds),
        second_share=settings.second_review_share,
        silence_for=timedelta(hours=settings.silence_hours),
    )
