"""A stage's heavy work in a process of its own: watched, told when to stop, and never left behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from deploy.child import Child
from services.retraining.errors import Interrupted, StageFailed

REFUSED: Final = 3
_NICE: Final = ("nice", "-n", "10")
_PREFIX: Final = "PLUMBLINE_"
_GRACE: Final = ((signal.SIGTERM, timedelta(seconds=5)),)
_LOOK: Final = 0.1

Told = Callable[[float, str], None]
"""How far the child says that it is, 0 to 1, and in words."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What a child is watched by. `beat` says whether it may go on, and is asked all the time."""

    limit: timedelta
    beat: Callable[[], bool]
    told: Told


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended by itself. `facts`: what it said last, besides progress."""

    refused: bool
    facts: dict[str, Any] = field(default_factory=dict)


def watched(argv: Sequence[str], log: Path, watch: Watch) -> Ending:
    """Runs `argv` to its end, below everybody else. It sees none of our settings: secrets are among them.

    Raises `StageFailed` where it fails or takes too long, `Interrupted` where it may not go on.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch(0o600)
    said = _Said(log, watch.told)
    child = Child([*_NICE, *argv], log, cwd=Path.cwd(), env=environment)
    deadline = time.monotonic() + watch.limit.total_seconds()
    try:
        while child.running():
            said.look()
            if not watch.beat():
                raise Interrupted("stopped")
            if time.monotonic() > deadline:
                raise StageFailed(f"took longer than {watch.limit.total_seconds() / 60:g} minutes")
            time.sleep(_LOOK)
        said.look()
    finally:
        child.end(_GRACE)
    if child.exit_status not in (0, REFUSED):
        raise StageFailed(_ending(child.exit_status))
    return Ending(child.exit_status == REFUSED, said.facts)


def _ending(status: int | None) -> str:
    """`nice` becomes the program that it starts, so signals show."""
    if status is not None and status < 0:
        return f"was killed by signal {-status}: was there enough memory?"
    return f"ended with exit status {status}"


class _Said:
    """What a child says on its log from now on: JSON objects, a line each. Everything else is for people to read."""

    def __init__(self, log: Path, told: Told) -> None:
        self._log = log
        self._told = told
        self._read = log.stat().st_size
        self._rest = b""
        self.facts: dict[str, Any] = {}

    def look(self) -> None:
        with self._log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            said = json.loads(line) if line.startswith(b"{") else None
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        progress = said.get("progress")
        if isinstance(progress, int | float):
            self._told(min(1.0, max(0.0, float(progress))), str(said.get("said", "")))
        else:
            self.facts = said
