"""Whatever stands in its place is whole: it was made elsewhere, and renamed."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

UNFINISHED: Final = ".work-"
"""What names begin with that are in no place yet, or no more."""


def place(made: Path, at: Path) -> None:
    """Puts a file or folder into its place, at once. What stood there goes first."""
    at.parent.mkdir(parents=True, exist_ok=True)
    discard(at)
    made.rename(at)


def place_once(made: Path, at: Path) -> None:
    """As `place`, where the name stands for the content: what stands there already is left."""
    at.parent.mkdir(parents=True, exist_ok=True)
    if not at.exists():
        with suppress(OSError):  # somebody else was faster: folders are not renamed onto folders
            made.rename(at)
    if not at.is_dir():
        raise OSError(f"{at.name} cannot be put into its place")


def discard(path: Path) -> None:
    """Takes a file or folder out of its place at once, and removes it then."""
    going = path.with_name(f"{UNFINISHED}{uuid4().hex}")
    with suppress(FileNotFoundError):
        path.rename(going)
        shutil.rmtree(going, ignore_errors=True) if going.is_dir() else going.unlink()


def put(text: str, at: Path) -> None:
    """Puts a file of this text into its place, at once."""
    writing = at.with_name(f"{UNFINISHED}{uuid4().hex}")
    writing.write_text(text, encoding="utf-8")
    writing.rename(at)
