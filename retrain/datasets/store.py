"""Dataset versions in folders: `ds-<12 hex>/` with a manifest and one Parquet file for each part.

A version is there whole or not at all, and never changes. Whoever trains reads two of the three parts and cannot read
the third; everything that is read is held against the manifest, and the manifest against its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from detectors.bundle import FileDigest
from detectors.errors import RecordError
from retrain.datasets.errors import DatasetError
from retrain.datasets.example import Example, Key, Part
from retrain.datasets.manifest import MANIFEST, Dataset, Manifest, file_of, name_of, rows_digest
from retrain.datasets.parquet import decoded, encoded
from retrain.sources import LabelledConversation


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What may shape weights (`train`), and what calibration and thresholds (`calibration`)."""

    manifest: Manifest
    train: tuple[LabelledConversation, ...]
    calibration: tuple[LabelledConversation, ...]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a candidate is held against: nothing has learnt from it. `example` says where it comes from."""

    example: Example
    conversation: LabelledConversation


def write(root: Path, dataset: Dataset) -> Path:
    """The version's folder in `root`. One that is there already stays as it is, if it is whole: else `DatasetError`."""
    folder = root / dataset.name
    if not folder.exists():
        root.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{dataset.name}.", dir=root))
        try:
            _fill(unfinished, dataset)
            unfinished.chmod(0o755)
            _settle(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    open_dataset(folder)
    return folder


def _settle(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():  # somebody else's, of the same content, will do
            raise


def _fill(folder: Path, dataset: Dataset) -> None:
    digests = {}
    for part in Part:
        data = encoded(dataset.parts[part])
        digests[file_of(part)] = FileDigest(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        _put(folder / file_of(part), data)
    manifest = dataset.manifest.model_copy(update={"files": digests})
    _put(folder / MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode("utf-8", "surrogatepass"))


def _put(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def open_dataset(folder: Path) -> Dataset:
    """All of a version. Raises `DatasetError`."""
    manifest = open_manifest(folder)
    return Dataset(manifest, {part: _examples(folder, manifest, part) for part in Part})


def open_for_training(folder: Path) -> TrainingData:
    """What training may see. The held-out part is not opened, and need not be there. Raises `DatasetError`."""
    manifest = open_manifest(folder)
    train, calibration = (
        tuple(_labelled(each) for each in _examples(folder, manifest, part)) for part in (Part.TRAIN, Part.CALIBRATION)
    )
    return TrainingData(manifest, train, calibration)


def open_for_gate(folder: Path) -> list[HeldOut]:
    """What candidates are measured on. Raises `DatasetError`."""
    return [HeldOut(each, _labelled(each)) for each in _examples(folder, open_manifest(folder), Part.HELD_OUT)]


def open_manifest(folder: Path) -> Manifest:
    """What a version says of itself. Raises `DatasetError` where that is not what its name stands for."""
    try:
        manifest = Manifest.model_validate_json(_plain(folder / MANIFEST))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DatasetError(f"{folder / MANIFEST}: {'.'.join(map(str, first['loc']))}: {first['type']}") from None
    if manifest.name != name_of(manifest) or manifest.name != folder.resolve().name:
        raise DatasetError(f"{folder / MANIFEST}: the manifest was changed after the version was made")
    return manifest


def holding(root: Path, conversations: Iterable[Key]) -> Iterator[Path]:
    """The versions in `root` that have any of these conversations in a part, or cannot be read: what has been erased
    is in none once they are removed.
    """
    wanted = set(conversations)
    for folder in sorted(root.glob("ds-*")):
        try:
            dataset = open_dataset(folder)
        except DatasetError:
            yield folder
            continue
        if any(each.key in wanted for examples in dataset.parts.values() for each in examples):
            yield folder


def _examples(folder: Path, manifest: Manifest, part: Part) -> tuple[Example, ...]:
    path = folder / file_of(part)
    data = _plain(path)
    digest = manifest.files.get(path.name)
    if digest is None or len(data) != digest.bytes or hashlib.sha256(data).hexdigest() != digest.sha256:
        raise DatasetError(f"{path}: the content is not what the manifest says")
    try:
        examples = decoded(data)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    if rows_digest(examples) != manifest.parts[part]:
        raise DatasetError(f"{path}: the examples are not what the manifest says")
    return examples


def _plain(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise DatasetError(f"{path}: not a plain file")
    return path.read_bytes()


def _labelled(example: Example) -> LabelledConversation:
    try:
        return example.labelled()
    except RecordError as error:
        raise DatasetError(f"{example.label_ids[0]}: {error.reason}") from None
