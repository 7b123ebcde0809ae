"""From a version in the registry to a detector that is warm."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final, Protocol

from deploy.rollout.state import Rollout
from detectors.codec import event_from
from detectors.detector import Detector
from detectors.errors import BundleError
from detectors.transcript import TranscriptEvent


class Registry(Protocol):
    """What is asked of `deploy.registry`. Both raise `RegistryError`."""

    def rollout(self) -> Rollout | None:
        """The newest one; None where there has never been any."""

    def fetch(self, version: str, into: Path) -> Path:
        """The folder of a verified bundle, below `into`."""


class Bundles:
    """Loads versions from a registry."""

    def __init__(
        self,
        registry: Registry,
        cache: Path,
        opened: Callable[[Path], Detector],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`opened` makes a detector of a folder; fetched folders are kept in `cache`."""
        self._registry = registry
        self._cache = cache
        self._opened = opened
        self._clock = clock

    def load(self, version: str) -> Detector:
        """A detector that has been through real transcripts once. Raises `RegistryError` or `DetectorsError`."""
        detector = self._opened(self._registry.fetch(version, self._cache))
        if detector.version != version:
            raise BundleError(f"the registry gave {detector.version} for {version}")
        detector.rehearse(rehearsal(), now=self._clock())
        return detector


_REHEARSED: Final = 2
"""Pairs. More would take cores from what serves, and show nothing new."""


def rehearsal() -> Sequence[TranscriptEvent]:
    """Transcripts of the prober, misaligned and aligned: a real batch, and nobody's."""
    rows = files("services.probing").joinpath("transcripts.jsonl").read_text("utf-8").splitlines()[:_REHEARSED]
    moment = "2026-01-01T00:00:00Z"
    return [
        event_from({"event_id": str(number), "conversation_id": str(number), "occurred_at": moment, "messages": said})
        for number, row in enumerate(rows)
        for said in json.loads(row).values()
        if isinstance(said, list)
    ]
