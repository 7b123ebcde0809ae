"""A sweep in a process of its own, to be killed at one step: `python -m tests.shelf_process STEP FOLDER NAME LABEL`.

Its versions are a manifest each, and what is left of one is made without a child.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from services.retraining import shelf as shelves
from services.retraining.datasets import labels_in
from services.retraining.placing import discard, place_once
from services.retraining.shelf import Shelf
from services.retraining.successors import Beat
from services.retraining.tombstones import bury

NOW = datetime(2026, 3, 4, tzinfo=UTC)
STEPS = ("successor made", "successor placed", "buried", "told", "discarding", "discarded")


def dataset(folder: Path, labels: Iterable[UUID]) -> Path:
    """A version of these labels in `folder`."""
    folder.mkdir(parents=True)
    by_part = {"train": sorted(map(str, labels)), "held_out": []}
    (folder / "manifest.json").write_text(json.dumps({"labels": by_part, "report": {"more": 1}}))
    return folder


def left_of(folder: Path, labels: Collection[UUID], work: Path, beat: Beat) -> Path:
    """As the child makes it, under the name of what it holds."""
    left = sorted(labels_in(folder) - set(labels))
    name = hashlib.sha256(f"{folder.name} {left}".encode()).hexdigest()[:12]
    return dataset(work / f"ds-{name}", left)


def main(step: str, root: Path, name: str, label: UUID) -> None:
    def die(reached: str) -> None:
        if reached == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def hooked(work: Callable[..., Any], reached: str) -> Callable[..., Any]:
        def done(*details: object) -> Any:
            made = work(*details)
            die(reached)
            return made

        return done

    def half_way(path: Path) -> None:
        path.rename(path.with_name(".work-x"))
        die("discarding")

    last = half_way if step == "discarding" else discard
    hooks: dict[str, tuple[Callable[..., Any], str]] = {
        "place_once": (place_once, "successor placed"),
        "bury": (bury, "buried"),
        "discard": (last, "discarded"),
    }
    for name_of, (work, reached) in hooks.items():
        setattr(shelves, name_of, hooked(work, reached))
    for _ in Shelf(root, labels_in, hooked(left_of, "successor made")).sweep({label}, [name], NOW):
        die("told")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], UUID(sys.argv[4]))
