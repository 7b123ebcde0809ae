"""What a registry needs of whatever keeps its files."""

from __future__ import annotations

from typing import Protocol


class Store(Protocol):
    """Names are relative, with `/`. A file is there whole or not at all, whoever is killed when, and whoever has read
    it once reads the same or newer ever after.

    All methods raise `UnreachableError`, or `RegistryError` where trying again does not help.
    """

    def read(self, name: str, limit: int) -> bytes | None:
        """The first `limit` bytes of a file; None where there is none."""

    def create(self, name: str, data: bytes) -> bool:
        """Writes a new file. False where there is one already, which stays as it is: of several who try at the same
        time exactly one gets True.
        """

    def replace(self, name: str, data: bytes) -> None:
        """Writes a file, whether there is one or not."""

    def names(self, folder: str) -> list[str]:
        """Names of files in a folder, without it, sorted. Takes as long as there are many."""
