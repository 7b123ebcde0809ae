"""Processes that begin as copies of one that has imported everything: for tests that start and kill very many."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.servers import ROOT

_CONTEXT = multiprocessing.get_context("forkserver")


def import_beforehand(*modules: str) -> None:
    """What the copies shall have. To be called before the first of them starts."""
    _CONTEXT.set_forkserver_preload([*modules])


class Forked:
    """`target` in a process of its own, with this environment; what it says goes to the end of `log`."""

    def __init__(self, target: Callable[..., None], *given: Any, environment: Mapping[str, str], log: Path) -> None:
        self._process = _CONTEXT.Process(target=_run, args=(target, given, dict(environment), log), daemon=True)
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """As of `subprocess.Popen`: -9 where it was killed."""
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode


def _run(target: Callable[..., None], given: tuple[Any, ...], environment: Mapping[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    with log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    target(*given)
