"""What is left of a dataset version that was erased from: a mark, which may name the version that took its place."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.retraining.placing import put

_SUFFIX: Final = ".erased.json"


class Tombstone(BaseModel):
    """`erased_labels`: digests of their ids; None where nobody could tell. `successor` holds what was not erased."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dataset: str
    erased_labels: tuple[str, ...] | None
    at: datetime
    successor: str | None = Field(default=None, pattern="^ds-[0-9a-z]+$")


def bury(folder: Path, labels: Collection[UUID] | None, successor: str | None, now: datetime) -> None:
    """Puts a version's tombstone beside it, at once. The version itself stays: that is for whoever asks."""
    digests = None if labels is None else tuple(sorted(_digest(label) for label in labels))
    told = Tombstone(dataset=folder.name, erased_labels=digests, at=now, successor=successor)
    put(told.model_dump_json(), _beside(folder))


def successor_of(folder: Path) -> Path | None:
    """Where the version stands that took this one's place; None where its tombstone names none, or there is none."""
    try:
        told = Tombstone.model_validate_json(_beside(folder).read_bytes())
    except (OSError, ValueError):
        return None
    return folder.with_name(told.successor) if told.successor else None


def standing(folder: Path) -> Path | None:
    """The version in `folder`, or what is left of it by now, however often something was erased from it."""
    met: set[Path] = set()
    at: Path | None = folder
    while at is not None and at not in met:
        if at.is_dir():
            return at
        met.add(at)
        at = successor_of(at)
    return None


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{_SUFFIX}")


def _digest(label_id: UUID) -> str:
    return hashlib.sha256(label_id.bytes).hexdigest()
