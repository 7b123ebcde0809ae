"""Bundles between folders and the store."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from pydantic import ValidationError

from deploy.registry.errors import RegistryError, UnreachableError, UntrustedError
from deploy.registry.record import Record
from deploy.registry.store import Store
from detectors.bundle import MANIFEST, Bundle, FileDigest, Manifest, load_bundle
from detectors.errors import BundleError

_TEMPORARY: Final = ".fetching-"
_LEFT_OVER_SECONDS: Final = 24 * 3600.0
MOST_FETCHED: Final = 8
"""Versions that stay in a folder that bundles are fetched to. Whoever wants an older one again fetches it again."""


def digest_of(data: bytes) -> FileDigest:
    return FileDigest(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


def stored_name(digest: FileDigest) -> str:
    """Files are kept by their content: what several versions share, like a frozen encoder, is kept once."""
    return f"files/{digest.sha256}"


def all_files(folder: Path) -> tuple[Bundle, dict[str, bytes]]:
    """A verified bundle and all of its files, with the manifest. Raises `BundleError`."""
    bundle = load_bundle(folder)
    manifest = (folder / MANIFEST).read_bytes()
    try:
        is_same = Manifest.model_validate_json(manifest) == bundle.manifest
    except ValidationError:
        is_same = False
    if not is_same:
        raise RegistryError(f"{bundle.manifest.version}: somebody changes it at this moment")
    return bundle, {**bundle.files, MANIFEST: manifest}


def upload(store: Store, files: Mapping[str, bytes]) -> None:
    """Puts files into the store, if they are not there. What is there under the name and is another thing was damaged,
    and is replaced: nothing else can have this digest.
    """
    for data in files.values():
        name = stored_name(digest_of(data))
        found = store.read(name, len(data) + 1)
        if found is None and store.create(name, data):
            continue
        if found != data and store.read(name, len(data) + 1) != data:
            store.replace(name, data)


def download(store: Store, record: Record, into: Path) -> Path:
    """The bundle's folder below `into`: whole, or not there at all. Raises `UntrustedError` and `BundleError`."""
    with _folder_errors(into), _temporary_folder(into) as temporary:
        for name, digest in record.files.items():
            (temporary / name).write_bytes(_verified(store, record.version, name, digest))
        if load_bundle(temporary).manifest.version != record.version:
            raise UntrustedError(f"{record.version}: its manifest is of another version")
        _put(temporary, into / record.version, record)
    return into / record.version


def is_as_recorded(folder: Path, record: Record) -> bool:
    """Whether the folder holds a whole bundle with the very files of the record."""
    try:
        _, files = all_files(folder)
    except (BundleError, RegistryError, OSError):
        return False
    return record.files == {name: digest_of(data) for name, data in files.items()}


def _put(folder: Path, target: Path, record: Record) -> None:
    """Somebody else may have been faster, and be reading: what is right stays, and what is not makes place."""
    try:
        folder.rename(target)
    except OSError:
        if not target.exists():
            raise
        if is_as_recorded(target, record):
            return
        displaced = target.with_name(f"{_TEMPORARY}{uuid4().hex}")
        target.rename(displaced)
        folder.rename(target)
        shutil.rmtree(displaced, ignore_errors=True)


def keep(path: Path, record: bytes) -> None:
    """Beside the bundle, so that it can be trusted again while the store is away. Of many, the ones unused for the
    longest time make place.
    """
    with _folder_errors(path.parent):
        temporary = path.with_name(f"{_TEMPORARY}{uuid4().hex}")
        temporary.write_bytes(record)
        temporary.replace(path)
        _make_place(path)


def used(path: Path) -> None:
    """Marks the record of a fetched bundle: it is in use."""
    with suppress(OSError):  # a folder that may only be read
        os.utime(path)


def _make_place(newest: Path) -> None:
    """The record goes first: without it nobody takes what is left of a folder for a bundle."""
    others = [each for each in newest.parent.glob(f"*{newest.suffix}") if each != newest]
    for record in sorted(others, key=_last_used, reverse=True)[MOST_FETCHED - 1 :]:
        record.unlink(missing_ok=True)
        shutil.rmtree(record.with_suffix(""), ignore_errors=True)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # somebody else makes place, too
        return 0.0


def _verified(store: Store, version: str, name: str, digest: FileDigest) -> bytes:
    data = store.read(stored_name(digest), digest.bytes + 1) if digest.bytes else b""
    if data is None:
        raise UntrustedError(f"{version}: {name} is missing in the registry")
    if digest_of(data) != digest:
        raise UntrustedError(f"{version}: {name} is not what its record says")
    return data


@contextmanager
def _temporary_folder(into: Path) -> Iterator[Path]:
    """Also removes those that were left behind."""
    into.mkdir(parents=True, exist_ok=True)
    temporary = into / f"{_TEMPORARY}{uuid4().hex}"
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _sweep(into)


def _sweep(into: Path) -> None:
    oldest = time.time() - _LEFT_OVER_SECONDS
    for each in into.glob(f"{_TEMPORARY}*"):
        with suppress(FileNotFoundError):
            if each.stat().st_mtime < oldest:
                shutil.rmtree(each) if each.is_dir() else each.unlink()


@contextmanager
def _folder_errors(into: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise RegistryError(f"{into}: {error.strerror}") from error
    except OSError as error:
        raise UnreachableError(f"{into}: {error.strerror}") from error
