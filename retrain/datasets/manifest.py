"""What a dataset version says of itself. Its name is a digest of the rest: nothing can be changed under it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ConfigDict, Field, JsonValue

from detectors.bundle import FileDigest
from detectors.transcript import Frozen
from retrain.datasets.example import SOURCE, Example, Part
from retrain.datasets.policy import Policy, Reason

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
LICENCE: Final = "the installation's own: redacted conversations of its agents, for its own detectors"


def file_of(part: Part) -> str:
    return f"{part.value}.parquet"


class PartDigest(Frozen):
    """`rows` is a SHA-256 over the digests of the examples: the same whatever wrote the file."""

    examples: int = Field(ge=0)
    rows: str = Field(pattern="^[0-9a-f]{64}$")


class Count(Frozen):
    """How many examples of a part have all of this in common."""

    part: Part
    category: str
    disposition: str
    language: str
    tenant: str
    source: str
    examples: int


class Manifest(Frozen):
    """`labels` names every label that was given: by part, and by why it was held back.

    `seen`: digests of conversations, as far as their labels stand, that this version or an earlier one trains or
    calibrates on. They are never held out any more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = FORMAT
    name: str = Field(pattern="^ds-[0-9a-f]{12}$")
    parent: str | None
    policy: Policy
    sources: dict[str, JsonValue]
    parts: dict[Part, PartDigest]
    counts: tuple[Count, ...]
    labels: dict[Part, tuple[str, ...]]
    held_back: dict[Reason, tuple[str, ...]]
    seen: tuple[str, ...]
    report: dict[str, JsonValue]
    files: dict[str, FileDigest] = Field(default_factory=dict)

    def given(self) -> frozenset[str]:
        """Every label that this version was made from, what is held back included."""
        return frozenset(label for mine in (*self.labels.values(), *self.held_back.values()) for label in mine)

    @property
    def content(self) -> tuple[object, ...]:
        """What a version comes down to: whoever its parent is, two of the same content teach the same."""
        return self.parts, self.labels, self.held_back, self.policy


def rows_digest(examples: Iterable[Example]) -> PartDigest:
    digest, count = hashlib.sha256(), 0
    for example in examples:
        digest.update(example.digest.encode())
        count += 1
    return PartDigest(examples=count, rows=digest.hexdigest())


def name_of(manifest: Manifest) -> str:
    """The name that the manifest must have. Files are left out: another version of Arrow writes the same otherwise."""
    body = manifest.model_dump(mode="json", exclude={"name", "files"})
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return f"ds-{hashlib.sha256(canonical.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def counted(parts: Mapping[Part, Sequence[Example]]) -> tuple[Count, ...]:
    """Examples by everything that tells them apart."""
    found = Counter(
        (part, each.category, each.disposition, each.language, each.tenant_id, each.source)
        for part, examples in parts.items()
        for each in examples
    )
    names = ("part", "category", "disposition", "language", "tenant", "source")
    return tuple(Count(**dict(zip(names, key, strict=True)), examples=count) for key, count in sorted(found.items()))


def sources_of(parts: Mapping[Part, Sequence[Example]]) -> dict[str, JsonValue]:
    """Where the examples come from, and what may be done with them."""
    tenants = Counter(each.tenant_id for examples in parts.values() for each in examples)
    return {SOURCE: {"licence": LICENCE, "examples": tenants.total(), "tenants": dict(sorted(tenants.items()))}}


@dataclass(frozen=True, slots=True)
class Dataset:
    """A version with its examples, those of each part in the order of their conversations."""

    manifest: Manifest
    parts: Mapping[Part, tuple[Example, ...]]

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def report(self) -> dict[str, JsonValue]:
        """Examples by part, labels held back by reason, and what was suspicious."""
        return self.manifest.report
