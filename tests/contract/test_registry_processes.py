"""Several processes at a time, and processes that are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.registry import open_registry
from deploy.registry.stores import open_store
from deploy.registry.stores.s3 import open_s3
from tests.registry import revision, s3_environment, s3_server, small_bundle
from tests.servers import ROOT

pytestmark = pytest.mark.long
MOVERS = 3


class Mover:
    def __init__(self, url: str, actor: str, how: str = "move") -> None:
        argv = [sys.executable, "-m", "tests.registry_process", how, url, actor]
        self.actor = actor
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=dict(os.environ), text=True
        )

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        heard: dict[str, Any] = json.loads(self._process.stdout.readline())
        return heard

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Race:
    """Processes that go for the same revisions of one registry."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.movers = [Mover(url, f"mover-{number}") for number in range(MOVERS)]

    def run(self, numbers: list[list[int]]) -> list[dict[str, Any]]:
        for mover, wanted in zip(self.movers, numbers, strict=True):
            mover.say(json.dumps(wanted))
        return [mover.hear() for mover in self.movers]


@pytest.fixture(scope="module", params=["local", "s3"])
def race(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Race]:
    with pytest.MonkeyPatch.context() as patch, s3_server() as server:
        url = str(tmp_path_factory.mktemp("race"))
        if request.param == "s3":
            for name, value in s3_environment(server).items():
                patch.setenv(name, value)
            bucket = f"race-{uuid4().hex}"
            open_s3().mkdir(bucket)
            url = f"s3://{bucket}/bundles"
        running = Race(url)
        yield running
        for mover in running.movers:
            mover.close()


@settings(max_examples=8)
@given(
    ahead=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=5), min_size=MOVERS, max_size=MOVERS),
    hint=st.none() | st.binary(max_size=4) | st.integers(0, 10**6).map(lambda number: str(number).encode()),
)
def test_every_revision_has_one_winner_and_nobody_goes_back(
    race: Race, ahead: list[list[int]], hint: bytes | None
) -> None:
    """`ahead`: how far behind the newest revision each one tries, in which order."""
    before = open_registry(race.url).rollout()
    newest = before.revision if before else 0
    if hint is not None:
        open_store(race.url).replace("rollout/newest", hint)
    answers = race.run([[newest + each for each in sorted(mine)] for mine in ahead])

    # The same mover may ask again for what it has won: that has happened already.
    won = {number: mover for mover, answer in zip(race.movers, answers, strict=True) for number in answer["won"]}
    assert sum(len(set(answer["won"])) for answer in answers) == len(won)
    assert all(earlier <= later for answer in answers for earlier, later in pairwise(answer["read"]))
    history = open_registry(race.url).rollout_history(len(won) + 1)[::-1]
    assert [each.revision for each in history] == list(range(max(1, newest), newest + len(won) + 1))
    assert before is None or history[0] == before
    for each in history[bool(newest) :]:
        assert each == revision(each.revision, actor=won[each.revision].actor)


def test_all_go_for_the_same_revisions_at_once(race: Race) -> None:
    before = open_registry(race.url).rollout()
    newest = before.revision if before else 0
    wanted = list(range(newest + 1, newest + 21))
    answers = race.run([wanted] * MOVERS)
    assert sorted(number for answer in answers for number in answer["won"]) == wanted
    assert all(answer["read"] == sorted(answer["read"]) for answer in answers)


def test_all_stand_before_the_door_and_one_goes_through(tmp_path: Path) -> None:
    """Each has its revision written, and has seen that there is none yet: then all go on at the same moment."""
    with ExitStack() as stack:
        made = [Mover(str(tmp_path), f"mover-{number}", "move-together") for number in range(MOVERS)]
        movers = [stack.enter_context(closing(mover)) for mover in made]
        _through_the_door(movers, str(tmp_path))


def _through_the_door(movers: list[Mover], url: str) -> None:
    for number in range(1, 6):
        for mover in movers:
            mover.say(json.dumps([number]))
        for mover in movers:
            assert mover.hear() == {"before": "the door"}
        for mover in movers:
            mover.say("go")
        won = [mover.hear()["won"] for mover in movers]
        assert sorted(won) == [[]] * (MOVERS - 1) + [[number]]
        winner = movers[won.index([number])]
        assert open_registry(url).rollout() == revision(number, actor=winner.actor)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    folder = tmp_path_factory.mktemp("killed")
    small_bundle(folder / "bundle")
    argv = [sys.executable, "-m", "tests.registry_process", "kill"]
    places = [str(folder / name) for name in ("store", "bundle", "cache")]
    done = subprocess.run([*argv, *places], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {what: list(group) for what, group in groupby(lines, key=lambda line: line["what"])}


@pytest.mark.parametrize("what", ["publish", "publish over and over"])
def test_a_publisher_killed_anywhere_leaves_a_version_or_none(killed: dict[str, list[dict]], what: str) -> None:
    steps = killed[what]
    assert len(steps) > 15
    for step in steps:
        seen = step["seen"]
        assert len(seen["versions"]) == seen["described"] == seen["whole"], step
    there = [step["seen"]["whole"] for step in steps]
    assert there == sorted(there)
    assert (there[0], there[-1]) == (False, True)
    assert [step["through"] for step in steps] == [False] * (len(steps) - 1) + [True]


def test_a_publisher_killed_while_it_publishes_again_takes_nothing_away(killed: dict[str, list[dict]]) -> None:
    assert len(killed["publish again"]) > 5
    assert all(len(step["seen"]["versions"]) == 1 and step["seen"]["whole"] for step in killed["publish again"])


@pytest.mark.parametrize("what", ["fetch", "fetch over and over"])
def test_a_fetch_killed_anywhere_leaves_a_bundle_or_none(killed: dict[str, list[dict]], what: str) -> None:
    steps = killed[what]
    assert len(steps) > 10
    assert all(step["seen"]["there"] == step["seen"]["whole"] for step in steps)
    assert steps[-1]["through"]
    assert steps[-1]["seen"]["whole"]
    assert not steps[0]["seen"]["there"]
