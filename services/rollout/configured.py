"""Rollouts as the settings say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from deploy.registry import Registry, open_registry
from deploy.rollout.policy import Minimum, Policy
from services.errors import SettingsError
from services.rollout.journal import TOPIC, Journal, installation_of
from services.rollout.revisions import Revisions, registry_errors
from services.rollout.steering import Steering
from services.settings import Settings
from services.store import Database


def registry_of(settings: Settings) -> Registry:
    """Raises `SettingsError` where none is configured, and `RegistryUnusable` where it makes no sense."""
    if settings.registry is None:
        raise SettingsError("PLUMBLINE_REGISTRY: say where the registry is: a folder, or a URL like s3://bucket/path")
    key = settings.registry_signing_key
    with registry_errors():
        return open_registry(
            settings.registry,
            signing_key=key.get_secret_value() if key else None,
            public_key=settings.registry_public_key,
        )


def policy_of(settings: Settings) -> Policy:
    """Margins are those of `deploy.rollout.policy`."""
    return Policy(
        shadow=Minimum(events=settings.rollout_shadow_events, time=timedelta(minutes=settings.rollout_shadow_minutes)),
        canary=Minimum(events=settings.rollout_canary_events, time=timedelta(minutes=settings.rollout_canary_minutes)),
        canary_share=settings.rollout_canary_share,
        stage_limit=timedelta(hours=settings.rollout_stage_hours),
    )


def journal_of(settings: Settings, database: Database, revisions: Revisions, salt: bytes) -> Journal:
    """`salt`: see `services.triage.configured.salt_of`."""
    return Journal(database, revisions, topic=settings.topic(TOPIC), installation=installation_of(salt))


def steering_of(
    settings: Settings, database: Database, registry: Registry, salt: bytes, clock: Callable[[], datetime]
) -> Steering:
    """What people move the rollout with."""
    revisions = Revisions(registry)
    return Steering(revisions, journal_of(settings, database, revisions, salt), clock)
