"""A bundle that is whole, and quick: the one that ships, with its screen for an encoder."""

from __future__ import annotations

from pathlib import Path

from detectors.bundle import ENCODER, SCREEN, load_bundle, rethresholded, rewritten
from detectors.loading import DEFAULT_BUNDLE


def write_quick_bundle(folder: Path, *, threshold: float | None = None) -> Path:
    """A new bundle in `folder`, with its own thresholds, or with one for all labels."""
    bundle = load_bundle(DEFAULT_BUNDLE)
    whole = folder if threshold is None else folder.with_name(f"{folder.name}-as-shipped")
    rewritten(DEFAULT_BUNDLE, whole, files={ENCODER: bundle.files[SCREEN]})
    if threshold is not None:
        rethresholded(whole, folder, dict.fromkeys(bundle.manifest.thresholds, threshold))
    return folder
