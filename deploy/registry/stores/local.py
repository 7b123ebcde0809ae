"""A registry in a folder, shared by processes of one machine or by a network file system that has hard links."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from deploy.registry.errors import RegistryError, UnreachableError

_TEMPORARY: Final = "tmp"
_LEFT_OVER_SECONDS: Final = 24 * 3600.0


class LocalStore:
    """A `Store`. Files are written under another name, flushed to the disk, and then linked to their own.

    A link is made whole or not at all, and never over another file: open(..., O_EXCL) would show a file half-written.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)

    def read(self, name: str, limit: int) -> bytes | None:
        """See `Store`."""
        with _os_errors():
            try:
                with (self._root / name).open("rb") as file:
                    return file.read(limit)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`."""
        with _os_errors(), self._written(name, data) as temporary:
            try:
                os.link(temporary, self._root / name)
            except FileExistsError:
                return False
            _flush_folder(self._root / name)
        return True

    def replace(self, name: str, data: bytes) -> None:
        """See `Store`."""
        with _os_errors(), self._written(name, data) as temporary:
            temporary.replace(self._root / name)
            _flush_folder(self._root / name)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        with _os_errors():
            try:
                return sorted(each.name for each in os.scandir(self._root / folder) if each.is_file())
            except (FileNotFoundError, NotADirectoryError):
                return []

    @contextmanager
    def _written(self, name: str, data: bytes) -> Iterator[Path]:
        """A file with the data that nobody else knows of, in folders that are there."""
        folder = self._root / _TEMPORARY
        for needed in (folder, (self._root / name).parent):
            needed.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = folder / uuid4().hex
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Removes what those left who were killed. Nobody writes a file for a day."""
    oldest = time.time() - _LEFT_OVER_SECONDS
    for each in os.scandir(folder):
        with suppress(FileNotFoundError):
            if each.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(each.path)


def _flush_folder(path: Path) -> None:
    """A new name survives a power failure only when the folder is on the disk, too."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise RegistryError(f"the registry's folder: {error.strerror}") from error
    except OSError as error:
        raise UnreachableError(f"the registry's folder: {error.strerror}") from error
