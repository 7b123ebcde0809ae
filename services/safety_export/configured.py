"""Exports as the settings say."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from detectors.bundle import load_bundle
from detectors.errors import BundleError
from services.errors import SettingsError
from services.privacy.recognisers import GROUP, built_in, registered
from services.privacy.redaction import Redactor
from services.safety_export.register import Register
from services.settings import Settings
from services.store import Database, held_out

_EXPORTS: Final = "exports"
_DATASETS: Final = "datasets"
_NAME: Final = re.compile(r"ds-[0-9a-f]{12}")


def register_of(settings: Settings) -> Register:
    """Where exports are remembered. Taking rows out of one needs the extra 'retrain'; asking does not."""
    return Register(settings.retraining_folder / _EXPORTS, _thin)


def _thin(folder: Path, conversations: Collection[str], labels: Collection[str]) -> int:
    from retrain.safety_data.thinning import thin

    return thin(folder, conversations=conversations, labels=labels)


def suspects_of(settings: Settings, dataset: str) -> dict[str, str]:
    """Labels that this dataset version held back as suspicious, and why. Raises `SettingsError`."""
    from retrain.datasets.errors import DatasetError
    from retrain.safety_data.suspects import suspects

    if _NAME.fullmatch(dataset) is None:
        raise SettingsError("--dataset: expected the name of a dataset version, like ds-0123456789ab")
    try:
        return suspects(settings.retraining_folder / _DATASETS / dataset)
    except DatasetError as error:
        raise SettingsError(f"--dataset: {error}") from None


def all_recognisers(settings: Settings) -> Redactor:
    """Ours and those that are registered, whatever PLUMBLINE_REDACT leaves out."""
    regions = [region for region in settings.redact_phone_regions.split(",") if region]
    return Redactor((*built_in(regions), *registered(entry_points(group=GROUP))))


def held_out_names(settings: Settings, database: Database) -> tuple[frozenset[str], frozenset[str]]:
    """(bundle versions, names of detectors) that are held out: configured, or ever recorded as such.

    Raises `SettingsError` where the configured bundle cannot be read: its version would go unguarded.
    """
    with database.read() as tx:
        versions = set(held_out.versions(tx))
    if settings.held_out_bundle is not None:
        try:
            versions.add(load_bundle(settings.held_out_bundle).manifest.version)
        except BundleError as error:
            raise SettingsError(f"PLUMBLINE_HELD_OUT_BUNDLE: {error}") from None
    names = (name.strip() for name in settings.held_out_detectors.split(","))
    return frozenset(versions), frozenset(filter(None, names))
