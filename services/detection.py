"""The detector that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from detectors.detector import Detector
from detectors.loading import open_detector
from services.settings import Settings


def configured_detector(settings: Settings) -> Detector:
    """Raises `BundleError` or `ProviderError`: nothing runs with half a detector."""
    return detector_at(settings.bundle, settings, version=settings.bundle_version)


def detector_at(folder: Path, settings: Settings, *, version: str | None = None) -> Detector:
    """As `configured_detector`, of another folder."""
    return open_detector(
        folder,
        provider=settings.provider,
        threads=settings.inference_threads,
        batch_size=settings.inference_batch_windows,
        max_windows=settings.max_windows,
        audit_share=settings.audit_share,
        version=version,
    )
