"""From a verified bundle to a detector that can judge."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from detectors.bundle import ENCODER, SCREEN, TOKENIZER, Bundle, Manifest, load_bundle
from detectors.classifier import Batcher
from detectors.detector import Detector
from detectors.ensemble import Cascade
from detectors.errors import BundleError
from detectors.features import StructuralFeatures
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower

DEFAULT_BUNDLE: Final = Path(__file__).parent / "bundles" / "first"
"""The bundle that ships with Plumbline."""


def open_detector(
    folder: Path = DEFAULT_BUNDLE,
    *,
    provider: Provider = Provider.CPU,
    threads: int = 0,
    batch_size: int = 2,
    max_windows: int = 256,
    audit_share: float = 0.0,
    version: str | None = None,
) -> Detector:
    """Verifies and loads a bundle; with `version`, only that one. `threads` 0 leaves the number to ONNX Runtime.

    Raises `BundleError` or `ProviderError`; a detector is never half there.
    """
    bundle = load_bundle(folder)
    if version is not None and bundle.manifest.version != version:
        raise BundleError(f"{folder} is {bundle.manifest.version}, not {version} as PLUMBLINE_BUNDLE_VERSION demands")
    return detector_from(
        bundle,
        provider=provider,
        threads=threads,
        batch_size=batch_size,
        max_windows=max_windows,
        audit_share=audit_share,
    )


def windower_of(manifest: Manifest, tokenizer: TextTokenizer, *, max_windows: int) -> Windower:
    """Cuts windows as the bundle was trained on."""
    return Windower(
        tokenizer,
        max_tokens=manifest.max_tokens,
        overlap=manifest.overlap,
        max_windows=max_windows,
        context_chars=manifest.context_chars,
    )


def detector_from(
    bundle: Bundle, *, provider: Provider, threads: int, batch_size: int, max_windows: int, audit_share: float
) -> Detector:
    """As `open_detector`, from a bundle in memory."""
    manifest = bundle.manifest
    tokenizer = TextTokenizer(bundle.files[TOKENIZER])
    screen, encoder = (
        OnnxClassifier(name, manifest.version, bundle.files[file], provider=provider, threads=threads)
        for name, file in (("screen", SCREEN), ("encoder", ENCODER))
    )
    cascade = Cascade(
        screen,
        encoder,
        Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=batch_size),
        pass_logit=manifest.pass_logit,
        pass_label=manifest.labels.index(MISALIGNMENT),
        labels=len(manifest.labels),
        audit_share=audit_share,
    )
    return Detector(manifest, windower_of(manifest, tokenizer, max_windows=max_windows), cascade)
