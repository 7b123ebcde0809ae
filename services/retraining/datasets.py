"""What dataset versions on disk were made of."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

_MANIFEST: Final = "manifest.json"


class _Manifest(BaseModel):
    """The part of a manifest that matters here: ids of labels, by where their conversations are."""

    model_config = ConfigDict(extra="ignore")

    labels: dict[str, list[UUID]]


def labels_in(folder: Path) -> frozenset[UUID]:
    """The labels whose conversations the version in `folder` holds. Raises `ValueError` or `OSError` where nobody can
    tell.
    """
    manifest = _Manifest.model_validate_json((folder / _MANIFEST).read_bytes())
    return frozenset(label for labels in manifest.labels.values() for label in labels)
