"""A folder is there whole or not at all: it is made beside its place and renamed into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A path beside `out`, to make a folder at; it takes the place of `out` when the block ends well.

    What an earlier, killed run of the same process id left there is removed first; a block that fails leaves nothing.
    """
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield unfinished
        replaced = out.with_name(f".{out.name}.{os.getpid()}.old")
        shutil.rmtree(replaced, ignore_errors=True)
        if out.exists():
            out.rename(replaced)
        unfinished.rename(out)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
