"""A registry in memory, of this process alone: for tests, and for trying things out."""

from __future__ import annotations

from threading import Lock
from typing import Any, Final

from fsspec.implementations.memory import MemoryFileSystem

_ONE_AT_A_TIME: Final = Lock()
"""fsspec's file system in memory is one for the whole process, and looks before it writes."""


class MemoryStore:
    """A `Store`. All of the same name are the same."""

    def __init__(self, root: str) -> None:
        self._files: Any = MemoryFileSystem()
        self._root = root

    def read(self, name: str, limit: int) -> bytes | None:
        """See `Store`."""
        with _ONE_AT_A_TIME:
            path = self._path(name)
            return bytes(self._files.cat_file(path, 0, limit)) if self._files.isfile(path) else None

    def create(self, name: str, data: bytes) -> bool:
        """See `Store`."""
        with _ONE_AT_A_TIME:
            if self._files.isfile(self._path(name)):
                return False
            self._files.pipe_file(self._path(name), data)
            return True

    def replace(self, name: str, data: bytes) -> None:
        """See `Store`."""
        with _ONE_AT_A_TIME:
            self._files.pipe_file(self._path(name), data)

    def names(self, folder: str) -> list[str]:
        """See `Store`."""
        with _ONE_AT_A_TIME:
            try:
                found = self._files.ls(self._path(folder), detail=True)
            except FileNotFoundError:
                return []
            return sorted(each["name"].rsplit("/", 1)[-1] for each in found if each["type"] == "file")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"
