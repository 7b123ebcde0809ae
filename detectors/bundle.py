"""A bundle: the folder that holds one version of the detectors, with everything needed to trust it.

`manifest.json` names every file with its SHA-256. The version carries a digest of the manifest itself, so that
thresholds, calibration and metrics cannot be changed without the version changing too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field, JsonValue, ValidationError, model_validator

from detectors.calibration import LabelHeads, statistics_known
from detectors.errors import BundleError
from detectors.features import FEATURE_NAMES
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.transcript import Frozen
from detectors.verdict import Label, Probability
from detectors.windows import max_overlap

MANIFEST: Final = "manifest.json"
TOKENIZER: Final = "tokenizer.json"
SCREEN: Final = "screen.onnx"
ENCODER: Final = "encoder.onnx"
_REQUIRED: Final = frozenset({TOKENIZER, SCREEN, ENCODER})


class FileDigest(Frozen):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(Frozen):
    """What a bundle is, how it was made and how good it was measured to be."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[3] = 3
    name: str = Field(pattern="^[a-z0-9][a-z0-9-]{0,62}$")
    version: str
    labels: tuple[Label, ...]
    files: dict[str, FileDigest]
    features: tuple[str, ...]
    max_tokens: int = Field(ge=32, le=8192)
    overlap: int = Field(ge=0)
    context_chars: int = Field(ge=0, le=100_000)
    """How much of each part that is not the agent's the windows hold."""
    pass_logit: float
    """Windows whose screen logit for overall misalignment is below this are not sent to the encoder."""
    heads: dict[Label, LabelHeads]
    """For the labels that the bundle covers; it says nothing about the others."""
    thresholds: dict[Label, Probability]
    false_positive_budget: Probability
    """Share of aligned conversations that each threshold lets through on the held-out set."""
    data: dict[str, JsonValue]
    training: dict[str, JsonValue]
    metrics: dict[str, JsonValue]

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if not self.files.keys() >= _REQUIRED:
            raise ValueError(f"files: {sorted(_REQUIRED - self.files.keys())} missing")
        if any(Path(name).name != name or name == MANIFEST for name in self.files):
            raise ValueError("files: only plain file names, and not the manifest itself")
        if self.labels != LABELS:
            raise ValueError("labels: not this version's taxonomy")
        if self.features != FEATURE_NAMES:
            raise ValueError("features: not the ones that this version computes")
        if self.overlap > max_overlap(self.max_tokens):
            raise ValueError(f"overlap: {self.overlap} does not fit windows of {self.max_tokens} tokens")
        if set(self.heads) != set(self.thresholds) or not set(self.heads) <= set(self.labels):
            raise ValueError("heads and thresholds: not for the same known labels")
        if MISALIGNMENT not in self.heads:
            raise ValueError(f"heads: {MISALIGNMENT} missing")
        for label, heads in self.heads.items():
            if not all(statistics_known(head) for head in (heads.screen, heads.ensemble, heads.encoder_alone)):
                raise ValueError(f"heads: {label} does not weigh the statistics that this version computes")
        return self

    @property
    def uncovered(self) -> tuple[str, ...]:
        """Labels that the bundle was not trained for. It gives no score for these, rather than a low one."""
        return tuple(label for label in self.labels if label not in self.heads)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A verified bundle: the manifest, and the very bytes that were verified."""

    manifest: Manifest
    files: dict[str, bytes]


def load_bundle(folder: Path) -> Bundle:
    """Reads and verifies a bundle. Raises `BundleError` where anything is missing, added or changed."""
    manifest = _read_manifest(folder)
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if present != set(manifest.files):
        difference = sorted(present ^ set(manifest.files))
        raise BundleError(f"{folder}: files and manifest do not agree on {difference}")
    files = {name: _verified(folder / name, digest) for name, digest in manifest.files.items()}
    return Bundle(manifest, files)


def write_bundle(folder: Path, files: dict[str, bytes], **description: Any) -> Manifest:
    """Writes `files` and a manifest of `description` (its fields less files and version) to a new folder."""
    digests = {name: FileDigest(sha256=_sha256(data), bytes=len(data)) for name, data in sorted(files.items())}
    unversioned = Manifest(version="", files=digests, **description)
    manifest = unversioned.model_copy(update={"version": _version(unversioned)})
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def rewritten(folder: Path, out: Path, *, files: dict[str, bytes] | None = None, **changes: Any) -> Manifest:
    """A new bundle in the new folder `out`: the one in `folder`, some `files` and fields of its manifest replaced."""
    bundle = load_bundle(folder)
    fields = {name: getattr(bundle.manifest, name) for name in Manifest.model_fields}
    kept = {name: value for name, value in fields.items() if name not in ("version", "files")}
    return write_bundle(out, {**bundle.files, **(files or {})}, **{**kept, **changes})


def rethresholded(folder: Path, out: Path, thresholds: dict[str, float]) -> Manifest:
    """A new bundle in `out`: the one in `folder` with other thresholds. Its version differs."""
    return rewritten(folder, out, thresholds=thresholds)


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{folder} is not a bundle: {error.strerror}: {MANIFEST}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise BundleError(f"{path}: {place}: {first['msg']}") from None
    if manifest.version != _version(manifest):
        raise BundleError(f"{path}: the manifest was changed after the bundle was made")
    return manifest


def _verified(path: Path, digest: FileDigest) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path}: not a plain file")
    data = path.read_bytes()
    if len(data) != digest.bytes or _sha256(data) != digest.sha256:
        raise BundleError(f"{path}: the content is not what the manifest says")
    return data


def _version(manifest: Manifest) -> str:
    body = manifest.model_dump(mode="json", exclude={"version"})
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return f"{manifest.name}-{_sha256(canonical.encode())[:12]}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
