"""Folders of datasets and runs. Whatever stands in its place is whole: see `placing`."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from services.retraining.placing import UNFINISHED, discard
from services.retraining.run import Run
from services.retraining.tombstones import standing

_HELD_OUT: Final = "held_out.parquet"
_CANDIDATE: Final = "candidate"


class Workshop:
    """`datasets/` holds dataset versions under their names, `runs/` what each run has made so far."""

    def __init__(self, root: Path) -> None:
        self.datasets = root / "datasets"
        self.cache = root / "cache"
        self._runs = root / "runs"

    def folder(self, run: Run) -> Path:
        return self._runs / f"{run.number:06d}-{run.run_id.hex[:8]}"

    def candidate(self, run: Run) -> Path:
        """Where the run's candidate stands, once it was trained."""
        return self.folder(run) / _CANDIDATE

    def log(self, run: Run) -> Path:
        """What children said. As private as the datasets."""
        return self.folder(run) / f"{run.stage.value}.log"

    def dataset(self, name: str | None) -> Path | None:
        """A dataset version, or where something in it was erased, what is left of it; None where nothing is."""
        return standing(self.datasets / name) if name else None

    def is_whole(self, name: str | None) -> bool:
        """Whether this version stands, and nothing in it was erased."""
        return name is not None and (self.datasets / name).is_dir()

    @contextmanager
    def work(self, run: Run) -> Iterator[Path]:
        """A new, empty folder for one attempt. What is left in it at the end was not good enough, and goes."""
        folder = self.folder(run) / f"{UNFINISHED}{uuid4().hex}"
        folder.mkdir(parents=True, mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Removes what attempts left behind that were killed. To be called while nobody works."""
        for folder in self._runs.glob(f"*/{UNFINISHED}*"):
            shutil.rmtree(folder, ignore_errors=True)

    def tidy(self, keep: Run) -> None:
        """Removes candidates of other runs: what was published is in the registry."""
        for folder in self._runs.glob(f"*/{_CANDIDATE}"):
            if folder.parent != self.folder(keep):
                discard(folder)


def without_held_out(dataset: Path, at: Path) -> Path:
    """The dataset as training may see it, in a folder `at/NAME`: what it may not read is not there."""
    view = at / dataset.name
    view.mkdir(parents=True)
    for file in dataset.iterdir():
        if file.name != _HELD_OUT:
            _linked(file, view / file.name)
    return view


def _linked(file: Path, at: Path) -> None:
    try:
        os.link(file, at)
    except OSError:  # a file system without links
        shutil.copy(file, at)


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """JSON lines, for nobody else to read; how many there are."""
    written = 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        for row in rows:
            file.write(f"{json.dumps(row)}\n")
            written += 1
    return written
