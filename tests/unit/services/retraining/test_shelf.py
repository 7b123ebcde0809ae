"""What was erased goes from the shelf, wherever somebody dies; what the next version is assembled from does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retraining import shelf as shelves
from services.retraining.datasets import labels_in
from services.retraining.errors import Interrupted, StageFailed
from services.retraining.shelf import Shelf, TakenAway
from services.retraining.successors import Beat
from services.retraining.tombstones import standing
from tests.servers import ROOT
from tests.shelf_process import NOW, STEPS, dataset, left_of

LABELS = [UUID(int=number) for number in range(6)]
NAMES = [f"ds-{number:012x}" for number in range(4)]


def shelf(root: Path) -> Shelf:
    return Shelf(root, labels_in, left_of)


def held(root: Path) -> dict[str, frozenset[UUID]]:
    return {folder.name: labels_in(folder) for folder in root.glob("ds-*/")}


def assert_gone(root: Path, erased: Iterable[UUID]) -> None:
    """Nobody finds any of these labels in any file, whatever it is called."""
    text = "".join(each.read_text() for each in root.rglob("*") if each.is_file())
    assert not any(str(label) in text for label in erased)
    assert not list(root.glob(".*"))


VERSIONS = st.lists(st.frozensets(st.sampled_from(LABELS), min_size=1), max_size=len(NAMES))
ERASED = st.frozensets(st.sampled_from(LABELS))


@given(versions=VERSIONS, erased=ERASED)
def test_a_sweep_takes_what_holds_something_erased_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, versions: list[frozenset[UUID]], erased: frozenset[UUID]
) -> None:
    root = tmp_path_factory.mktemp("shelf") / uuid4().hex / "datasets"
    whole = dict(zip(NAMES, versions, strict=False))
    for name, labels in whole.items():
        dataset(root / name, labels)
    taken = list(shelf(root).sweep(erased, [], NOW))
    assert taken == [TakenAway(name, len(labels & erased)) for name, labels in whole.items() if labels & erased]
    assert held(root) == {name: labels for name, labels in whole.items() if not labels & erased}
    assert_gone(root, erased)
    assert list(shelf(root).sweep(erased, [], NOW)) == []


class Killed(BaseException):
    pass


class Deaths:
    """Somebody dies when so many steps have been taken."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Killed


@settings(deadline=None)
@given(
    versions=VERSIONS,
    last=st.permutations(NAMES),
    rounds=st.lists(st.tuples(ERASED, st.integers(0, 12)), min_size=1, max_size=3),
)
def test_whoever_dies_when_what_is_left_of_the_last_version_stands_in_the_end(
    tmp_path_factory: pytest.TempPathFactory,
    versions: list[frozenset[UUID]],
    last: list[str],
    rounds: list[tuple[frozenset[UUID], int]],
) -> None:
    root = tmp_path_factory.mktemp("shelf") / uuid4().hex / "datasets"
    root.mkdir(parents=True)
    whole = dict(zip(NAMES, versions, strict=False))
    for name, labels in whole.items():
        dataset(root / name, labels)
    erased: frozenset[UUID] = frozenset()
    for more, steps in rounds:
        erased |= more
        with pytest.MonkeyPatch.context() as patch:
            death = Deaths(steps)
            for name in ("place_once", "bury", "discard"):
                patch.setattr(shelves, name, dying(getattr(shelves, name), death))
            with suppress(Killed):
                list(Shelf(root, labels_in, dying(left_of, death)).sweep(erased, last, NOW))
    list(shelf(root).sweep(erased, last, NOW))
    assert_gone(root, erased)
    assert {name: labels for name, labels in whole.items() if not labels & erased}.items() <= held(root).items()
    if newest := next((name for name in last if name in whole), None):
        at = standing(root / newest)
        assert at is not None
        assert labels_in(at) == whole[newest] - erased


def dying(work: Callable[..., Any], death: Deaths) -> Callable[..., Any]:
    """As `work`, with a death right before it or right behind it."""

    def done(*details: object) -> Any:
        death()
        made = work(*details)
        death()
        return made

    return done


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_is_killed_leaves_nothing_that_the_next_sweep_does_not_end(tmp_path: Path, step: str) -> None:
    root = tmp_path / "datasets"
    dataset(root / NAMES[0], LABELS)
    argv = [sys.executable, "-m", "tests.shelf_process", step, str(root), NAMES[0], str(LABELS[0])]
    done = subprocess.run(argv, capture_output=True, check=False, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    list(shelf(root).sweep({LABELS[0]}, NAMES[:1], NOW))
    assert_gone(root, LABELS[:1])
    (left,) = held(root).items()
    assert left[1] == frozenset(LABELS[1:])
    assert standing(root / NAMES[0]) == root / left[0]


def test_one_sweeps_at_a_time(tmp_path: Path) -> None:
    root = tmp_path / "datasets"
    dataset(root / NAMES[0], LABELS)
    working: list[Path] = []

    def slowly(folder: Path, labels: Collection[UUID], work: Path, beat: Beat) -> Path:
        working.append(folder)
        time.sleep(0.1)  # long enough for the others to come
        return left_of(folder, labels, work, beat)

    def sweep(_: int) -> list[TakenAway]:
        return list(Shelf(root, labels_in, slowly).sweep({LABELS[0]}, NAMES[:1], NOW))

    with ThreadPoolExecutor(4) as pool:
        taken = [each for found in pool.map(sweep, range(4)) for each in found]
    assert working == [root / NAMES[0]]
    assert [(each.dataset, each.labels, each.said) for each in taken] == [(NAMES[0], 1, None)]
    assert_gone(root, LABELS[:1])


def test_who_may_not_go_on_takes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "datasets"
    dataset(root / NAMES[0], LABELS)

    def stopped(folder: Path, labels: Collection[UUID], work: Path, beat: Beat) -> Path:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        list(Shelf(root, labels_in, stopped).sweep({LABELS[0]}, NAMES[:1], NOW))
    assert held(root) == {NAMES[0]: frozenset(LABELS)}
    assert [each.name for each in root.iterdir()] == [NAMES[0]]


def failing(folder: Path, labels: Collection[UUID], work: Path, beat: Beat) -> Path:
    raise StageFailed("ended with exit status 1")


def full(folder: Path, labels: Collection[UUID], work: Path, beat: Beat) -> Path:
    raise OSError(28, "No space left", "/somewhere/with/a name")


def forgetful(folder: Path, labels: Collection[UUID], work: Path, beat: Beat) -> Path:
    """Leaves out one label of several."""
    return left_of(folder, sorted(labels)[:1], work, beat)


@pytest.mark.parametrize(
    ("leave_of", "said"),
    [
        (failing, "ended with exit status 1"),
        (full, "OSError"),
        (forgetful, "what is left of it holds what was erased"),
    ],
)
def test_where_nothing_can_be_left_of_a_version_it_goes_and_the_one_before_it_stays(
    tmp_path: Path, leave_of: shelves.LeaveOf, said: str
) -> None:
    root = tmp_path / "datasets"
    dataset(root / NAMES[0], LABELS[:3])
    dataset(root / NAMES[1], LABELS)
    taken = list(Shelf(root, labels_in, leave_of).sweep(set(LABELS[4:]), [NAMES[1], NAMES[0]], NOW))
    assert taken == [TakenAway(NAMES[1], 2, None, said)]
    assert held(root) == {NAMES[0]: frozenset(LABELS[:3])}
    assert_gone(root, LABELS[4:])
    assert standing(root / NAMES[1]) is None


@pytest.mark.parametrize("manifest", ["{}", "{", '{"labels": {"train": ["x"]}}'])
def test_a_version_that_nobody_can_read_goes_only_where_something_is_erased(tmp_path: Path, manifest: str) -> None:
    root = tmp_path / "datasets"
    dataset(root / "ds-1", []).joinpath("manifest.json").write_text(manifest)
    assert list(shelf(root).sweep(set(), ["ds-1"], NOW)) == []
    (taken,) = shelf(root).sweep({LABELS[0]}, ["ds-1"], NOW)
    assert (taken.dataset, taken.labels, taken.successor) == ("ds-1", None, None)
    assert held(root) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"dataset": "ds-1", "erased_labels": null, "at": "x"}', '{"successor": "../other"}']
)
def test_a_tombstone_that_nobody_can_read_leads_nowhere(tmp_path: Path, text: str) -> None:
    (tmp_path / "ds-1.erased.json").write_text(text)
    assert standing(tmp_path / "ds-1") is None


def test_tombstones_that_lead_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    for name, successor in (("ds-1", "ds-2"), ("ds-2", "ds-1")):
        told = {"dataset": name, "erased_labels": [], "at": NOW.isoformat(), "successor": successor}
        (tmp_path / f"{name}.erased.json").write_text(json.dumps(told))
    assert standing(tmp_path / "ds-1") is None
