"""`plumbline doctor`: is everything there that the services need, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Callable

import typer

from deploy.registry.errors import RegistryError
from detectors.errors import BundleError, DetectorsError
from services.arms.loading import Bundles
from services.arms.opening import registry_at
from services.detection import configured_detector, detector_at
from services.errors import ServicesError
from services.kafka import all_topics, missing_topics
from services.schema import is_current
from services.settings import Settings, load_settings
from services.store import open_engine


def doctor() -> None:
    """Check bundle, provider, registry, broker, topics and database, and say what to do about what is wrong.

    The exit code is then 1.
    """
    settings = load_settings()
    checks: dict[str, Callable[[Settings], str]] = {"bundle and provider": _bundle}
    if url := settings.registry:
        checks["registry"] = lambda settings: _registry(url, settings)
    checks |= {"broker and topics": _broker, "database": _database}
    healthy = True
    for name, check in checks.items():
        try:
            typer.echo(f"ok    {name}: {check(settings)}")
        except RegistryError as error:
            healthy = False
            typer.echo(f"FAIL  {name}: {error} (PLUMBLINE_REGISTRY)")
        except (ServicesError, DetectorsError) as error:
            healthy = False
            typer.echo(f"FAIL  {name}: {error}")
    raise typer.Exit(0 if healthy else 1)


def list_settings() -> None:
    """List all settings as they are now; secrets are hidden."""
    settings = load_settings()
    for name, field in Settings.model_fields.items():
        note = f"  ({field.description})" if field.description else ""
        typer.echo(f"PLUMBLINE_{name.upper()}={_shown(getattr(settings, name))}{note}")


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _bundle(settings: Settings) -> str:
    try:
        detector = configured_detector(settings)
    except BundleError as error:
        raise ServicesError(f"{error} (PLUMBLINE_BUNDLE)") from None
    uncovered = ", ".join(detector.manifest.uncovered)
    return f"{detector.version} on {settings.provider.value}; not trained for: {uncovered or 'nothing'}"


def _registry(url: str, settings: Settings) -> str:
    registry = registry_at(url, settings)
    rollout = registry.rollout()
    if rollout is None:
        return "answers, and has no rollout yet: the bundle above is served"
    Bundles(registry, settings.registry_cache, lambda folder: detector_at(folder, settings)).load(rollout.stable)
    candidate = f", {rollout.candidate} in {rollout.stage.value}" if rollout.candidate else ""
    share = f" for {rollout.share:.0%} of conversations" if rollout.share else ""
    return f"answers, and serves {rollout.stable}{candidate}{share} (revision {rollout.revision})"


def _broker(settings: Settings) -> str:
    topics = all_topics(settings)
    if missing := missing_topics(settings, topics):
        raise ServicesError(f"topics missing: {', '.join(missing)}. Create them with `plumbline topics create`")
    return f"{settings.kafka_bootstrap_servers} has all {len(topics)} topics"


def _database(settings: Settings) -> str:
    engine = open_engine(settings.database_url.get_secret_value())
    if not is_current(engine):
        raise ServicesError("the schema is missing or old: `plumbline record` brings it up to date when it starts")
    return f"{engine.url.render_as_string(hide_password=True)}, schema current"
