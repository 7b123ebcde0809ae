"""What is left of a dataset version where something in it is erased, made by a child process."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from services.retraining.child import Watch, watched
from services.retraining.commands import Commands, plain_name
from services.retraining.errors import StageFailed

LONGEST: Final = timedelta(minutes=10)
"""The queue waits meanwhile, and Kafka gives its partitions to somebody else after 15 minutes."""
Beat = Callable[[], bool]
"""Whether to go on."""
_LOG: Final = "log"
_MISSING: Final = b"ModuleNotFoundError:"


@dataclass(frozen=True, slots=True)
class Successors:
    """Makes them within `limit`."""

    commands: Commands
    limit: timedelta = LONGEST

    def __call__(self, dataset: Path, labels: Collection[UUID], work: Path, beat: Beat) -> Path:
        """A version in `work` with the same split as `dataset`, without conversations of these labels.

        What the child says stays in `work`: it may quote what is to be erased. Raises `StageFailed`, `Interrupted` or
        `OSError`.
        """
        ids, log = work / "labels", work / _LOG
        with os.fdopen(os.open(ids, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{label}\n" for label in labels)
        argv = self.commands.forget(dataset, ids, work / "datasets")
        try:
            ending = watched(argv, log, Watch(self.limit, beat, told=lambda _progress, _said: None))
        except StageFailed as error:
            raise (StageFailed("the extra 'retrain' is missing") if _lacks_modules(log) else error) from None
        made = work / "datasets" / plain_name(str(ending.facts.get("dataset")))
        if ending.refused or not made.is_dir():
            raise StageFailed("the dataset is not where it should be")
        return made


def _lacks_modules(log: Path) -> bool:
    lines = log.read_bytes().splitlines() if log.exists() else []
    return bool(lines) and lines[-1].startswith(_MISSING)
