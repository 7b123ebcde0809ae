"""The registry: immutable versions of bundles, and the rollout that says which of them are served.

What lies in the store:

    versions/<version>.jsonl         the record: digests of all files, facts; a second line signs the first
    files/<sha256>                   the files of all versions, by content
    rollout/<12 digits>.json         the revisions of the rollout, from 1 on
    rollout/newest                   a hint: the number of a revision that was the newest once
    exclusive, tmp/                  of the store itself, see `deploy.registry.stores`

A version is there when its record is: that is written last, and once. Files that nobody's record names are of a
publisher that was killed; whoever publishes the version again uses them. The signature says which bundles may be
served, and not which one is: whoever may write to the store may move the rollout between versions that are signed.

Nothing but `versions` takes longer the more versions or revisions there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from pydantic import JsonValue, ValidationError

from deploy.registry.errors import ConflictError, NotThereError, RegistryError, UntrustedError
from deploy.registry.files import all_files, digest_of, download, is_as_recorded, keep, upload, used
from deploy.registry.record import (
    MAX_RECORD_BYTES,
    VERSION,
    Record,
    known_version,
    record_from,
    written,
)
from deploy.registry.revisions import Revisions
from deploy.registry.signing import public_key_of, public_keys
from deploy.registry.store import Store
from deploy.registry.stores import open_store
from deploy.rollout.state import Rollout

_SUFFIX: Final = ".jsonl"


def _now() -> datetime:
    return datetime.now(UTC)


class Registry:
    """All methods raise `UnreachableError` where the store does not answer; see `deploy.registry.errors`.

    `trusted`: public keys, one of which must have signed what is read; none: signatures are not asked for.
    """

    def __init__(
        self,
        store: Store,
        *,
        signing_key: str | None = None,
        trusted: tuple[str, ...] = (),
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._store = store
        self._signing_key = signing_key
        self._trusted = trusted
        self._clock = clock
        self._revisions = Revisions(store, uuid4().hex)

    def publish(self, folder: Path, facts: Mapping[str, JsonValue]) -> str:
        """Adds the bundle in `folder`, and returns its version. Again, it changes nothing: the first facts stand.

        Raises `BundleError` where it is no whole bundle, `ConflictError` where the version is there with other files,
        and `UntrustedError` where it is there and not signed as it must be.
        """
        bundle, files = all_files(folder)
        version = known_version(bundle.manifest.version)
        digests = {name: digest_of(data) for name, data in files.items()}
        try:
            record = Record(version=version, files=digests, facts=dict(facts), published_at=self._clock())
        except ValidationError:
            raise RegistryError(f"{version}: names of files, or facts, that no registry takes") from None
        upload(self._store, files)
        if not self._store.create(_name(version), written(record, self._signing_key)):
            self._same(version, record)
        return version

    def describe(self, version: str) -> Record:
        """Raises `NotThereError` and `UntrustedError`."""
        return self._record_in(self._read(version), version)

    def fetch(self, version: str, into: Path) -> Path:
        """The folder `into/version`, verified: signature, digests and bundle. Nothing is asked of the store where it is
        there already, and right. Few versions stay there. Raises `NotThereError`, `UntrustedError` and `BundleError`.
        """
        kept = into / f"{known_version(version)}{_SUFFIX}"
        if self._is_whole(into / version, kept):
            used(kept)
            return into / version
        data = self._read(version)
        folder = download(self._store, self._record_in(data, version), into)
        keep(kept, data)
        return folder

    def versions(self) -> list[str]:
        """All, by name: for people."""
        names = (name.removesuffix(_SUFFIX) for name in self._store.names("versions") if name.endswith(_SUFFIX))
        return [name for name in names if VERSION.fullmatch(name)]

    def rollout(self) -> Rollout | None:
        """The newest revision; None where nothing was rolled out yet. It is never older than an earlier answer."""
        return self._revisions.newest()

    def rollout_history(self, limit: int) -> list[Rollout]:
        """Up to `limit` revisions, newest first."""
        return self._revisions.latest(limit)

    def move(self, rollout: Rollout) -> None:
        """Makes it the newest. Of several with the same revision one wins: all others raise `ConflictError`."""
        self._revisions.move(rollout)

    def _read(self, version: str) -> bytes:
        data = self._store.read(_name(known_version(version)), MAX_RECORD_BYTES)
        if data is None:
            raise NotThereError(f"{version} is not in the registry")
        return data

    def _record_in(self, data: bytes, version: str) -> Record:
        return record_from(data, version, self._trusted)

    def _same(self, version: str, record: Record) -> None:
        """Whoever signs wants to find their own signature."""
        own = (public_key_of(self._signing_key),) if self._signing_key else ()
        found = record_from(self._read(version), version, self._trusted or own)
        if found.files != record.files:
            raise ConflictError(f"{version} is in the registry, with other files")

    def _is_whole(self, folder: Path, kept: Path) -> bool:
        """By the record that came with it, which is trusted no more than one that comes from the store."""
        try:
            record = self._record_in(kept.read_bytes(), folder.name)
        except (RegistryError, OSError):
            return False
        return is_as_recorded(folder, record)


def open_registry(url: str, *, signing_key: str | None = None, public_key: str | None = None) -> Registry:
    """The registry at a folder, `s3://bucket/prefix` or `memory://name`.

    With a signing key, what is published is signed; with a public key (or several, comma-separated), what is not signed
    by it is not read. Raises `RegistryError` where keys or URL make no sense, and asks nothing of the store yet.
    """
    trusted = public_keys(public_key) if public_key else ()
    if signing_key and trusted and public_key_of(signing_key) not in trusted:
        raise UntrustedError("the signing key is not one of those that the registry trusts")
    return Registry(open_store(url), signing_key=signing_key or None, trusted=trusted)


def _name(version: str) -> str:
    return f"versions/{version}{_SUFFIX}"
