"""Processes that use a registry: `python -m tests.registry_process move|move-together|kill ...`.

move URL ACTOR: for each line of numbers on stdin, tries to move the rollout to each of these revisions, and answers
with a line: which it won, and what it read in between.

kill STORE BUNDLE CACHE: publishes the bundle into the folder STORE, and fetches it into CACHE, in a child that kills
itself before the nth thing that it does to any file, for every n until it gets through; says after each what is there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from deploy.registry import open_registry
from deploy.registry.errors import ConflictError, NotThereError
from deploy.registry.signing import make_key, public_key_of
from tests.registry import content, revision

_CHANGES: Final = frozenset({"open", "os.mkdir", "os.link", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"})
"""Python tells its audit hooks of these before it does them."""


def move(url: str, actor: str) -> None:
    registry = open_registry(url)
    while line := sys.stdin.readline():
        won, read = [], []
        for number in json.loads(line):
            try:
                registry.move(revision(number, actor=actor))
                won.append(number)
            except ConflictError:
                pass
            newest = registry.rollout()
            read.append(newest.revision if newest else 0)
        print(json.dumps({"won": won, "read": read}), flush=True)


def move_together(url: str, actor: str) -> None:
    """Says so before it gives a revision its name, and waits for a line."""

    def wait(event: str, args: tuple[Any, ...]) -> None:
        if event in ("os.link", "os.rename") and str(args[1]).endswith(".json"):
            print(json.dumps({"before": "the door"}), flush=True)
            sys.stdin.readline()

    sys.addaudithook(wait)
    move(url, actor)


def kill(store: Path, bundle: Path, cache: Path) -> None:
    key = make_key()
    public = public_key_of(key)

    def publish() -> None:
        open_registry(str(store), signing_key=key).publish(bundle, {"parent": None})

    def fetch() -> None:
        open_registry(str(store), public_key=public).fetch(version, cache)

    def published() -> dict[str, Any]:
        registry = open_registry(str(store), public_key=public)
        seen: dict[str, Any] = {"versions": registry.versions(), "described": False, "whole": False}
        try:
            seen["described"] = registry.describe(version).version == version
            seen["whole"] = content(registry.fetch(version, cache)) == content(bundle)
        except NotThereError:
            pass
        shutil.rmtree(cache, ignore_errors=True)
        return seen

    def fetched() -> dict[str, Any]:
        there = (cache / version).exists()
        return {"there": there, "whole": there and content(cache / version) == content(bundle)}

    version = json.loads((bundle / "manifest.json").read_bytes())["version"]
    until_through("publish", publish, published, fresh=lambda: shutil.rmtree(store, ignore_errors=True))
    until_through("publish again", publish, published, fresh=lambda: None)
    shutil.rmtree(store)
    until_through("publish over and over", publish, published, fresh=lambda: None)
    until_through("fetch", fetch, fetched, fresh=lambda: shutil.rmtree(cache, ignore_errors=True))
    shutil.rmtree(cache)
    until_through("fetch over and over", fetch, fetched, fresh=lambda: None)


def until_through(what: str, do: Callable[[], None], look: Callable[[], Any], *, fresh: Callable[[], Any]) -> None:
    step, is_through = 0, False
    while not is_through:
        fresh()
        is_through = child_gets_through(do, step)
        print(json.dumps({"what": what, "step": step, "through": is_through, "seen": look()}), flush=True)
        step += 1


def child_gets_through(do: Callable[[], None], steps: int) -> bool:
    """Whether it does no more than so many things to files. Raises `RuntimeError` where it fails by itself."""
    child = os.fork()
    if child == 0:
        left = [steps]

        def count(event: str, args: tuple[Any, ...]) -> None:
            if event in _CHANGES:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1

        sys.addaudithook(count)
        try:
            do()
        finally:
            os._exit(0 if sys.exception() is None else 1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise RuntimeError("the child failed")
    return os.WIFEXITED(status)


if __name__ == "__main__":
    match sys.argv[1:]:
        case "move", url, actor:
            move(url, actor)
        case "move-together", url, actor:
            move_together(url, actor)
        case "kill", *places:
            kill(*map(Path, places))
