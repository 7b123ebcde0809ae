"""Labels that a dataset version of the detectors held back as suspicious: attempts to teach something wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from retrain.datasets.policy import Reason
from retrain.datasets.store import open_manifest

SUSPICIOUS: Final = frozenset(
    {
        Reason.AGAINST_CONSENSUS,
        Reason.LABEL_FLIP,
        Reason.TRIGGER,
        Reason.REVIEWER_DOMINATES,
        Reason.TENANT_DOMINATES,
    }
)
"""The other reasons say nothing about a label: that it is there twice, or measured on."""


def suspects(dataset: Path) -> dict[str, str]:
    """Why, by label id. Raises `DatasetError`."""
    held_back = open_manifest(dataset).held_back
    return {label: reason.value for reason in sorted(SUSPICIOUS) for label in held_back.get(reason, ())}
