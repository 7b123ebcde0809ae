"""Folders stand in their place whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retraining import shelf as shelves
from services.retraining.datasets import labels_in
from services.retraining.shelf import Shelf, TakenAway
from services.retraining.workshop import discard, place, place_once, without_held_out

NOW = datetime(2026, 3, 4, tzinfo=UTC)
LABELS = [UUID(int=number) for number in range(6)]


def folder(path: Path, content: str) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_text(content)
    return path


def test_what_stood_in_a_place_makes_room(tmp_path: Path) -> None:
    place(folder(tmp_path / "made", "old"), tmp_path / "runs/candidate")
    place(folder(tmp_path / "made", "new"), tmp_path / "runs/candidate")
    assert (tmp_path / "runs/candidate/file").read_text() == "new"
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["candidate"]


def test_what_is_named_by_its_content_stays(tmp_path: Path) -> None:
    place_once(folder(tmp_path / "a", "first"), tmp_path / "datasets/ds-1")
    place_once(folder(tmp_path / "b", "second"), tmp_path / "datasets/ds-1")
    assert (tmp_path / "datasets/ds-1/file").read_text() == "first"
    (tmp_path / "datasets/ds-2").write_text("no folder")
    with pytest.raises(OSError, match="ds-2 cannot be put into its place"):
        place_once(folder(tmp_path / "c", "third"), tmp_path / "datasets/ds-2")


def test_discarding_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    discard(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_training_does_not_get_to_see_what_is_held_out(tmp_path: Path) -> None:
    dataset = folder(tmp_path / "ds-1", "x")
    for part in ("train", "calibration", "held_out"):
        (dataset / f"{part}.parquet").write_text(part)
    view = without_held_out(dataset, tmp_path / "work")
    assert sorted(each.name for each in view.iterdir()) == ["calibration.parquet", "file", "train.parquet"]
    assert (dataset / "held_out.parquet").read_text() == "held_out"


def dataset(root: Path, name: str, labels: Iterable[UUID]) -> Path:
    made = root / name
    made.mkdir(parents=True)
    by_part = {"train": sorted(map(str, labels)), "held_out": []}
    (made / "manifest.json").write_text(json.dumps({"labels": by_part, "report": {"more": 1}}))
    return made


@given(
    versions=st.lists(st.sets(st.sampled_from(LABELS)), max_size=5),
    erased=st.sets(st.sampled_from(LABELS)),
)
def test_a_sweep_takes_what_holds_something_erased_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, versions: list[set[UUID]], erased: set[UUID]
) -> None:
    root = tmp_path_factory.mktemp("shelf") / uuid4().hex
    names = [f"ds-{number:012x}" for number in range(len(versions))]
    for name, labels in zip(names, versions, strict=True):
        dataset(root, name, labels)
    shelf = Shelf(root, labels_in)
    taken = shelf.sweep(erased, NOW)
    holding = [(name, len(held & erased)) for name, held in zip(names, versions, strict=True) if held & erased]
    assert taken == [TakenAway(*each) for each in holding]
    assert {each.name for each in root.glob("ds-*/")} == set(names) - {name for name, _ in holding}
    assert shelf.sweep(erased, NOW) == []
    text = "".join(each.read_text() for each in root.glob("*.erased.json"))
    assert not any(str(label) in text for label in erased)


def test_a_sweep_that_is_killed_in_the_middle_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset(tmp_path, "ds-1", LABELS)

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shelves, "discard", killed)
    with pytest.raises(KeyboardInterrupt):
        Shelf(tmp_path, labels_in).sweep({LABELS[0]}, NOW)
    monkeypatch.undo()
    assert Shelf(tmp_path, labels_in).sweep({LABELS[0]}, NOW) == [TakenAway("ds-1", 1)]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ds-1.erased.json"]


@pytest.mark.parametrize("manifest", ["{}", "{", '{"labels": {"train": ["x"]}}'])
def test_a_version_that_nobody_can_read_goes_only_where_something_is_erased(tmp_path: Path, manifest: str) -> None:
    dataset(tmp_path, "ds-1", []).joinpath("manifest.json").write_text(manifest)
    shelf = Shelf(tmp_path, labels_in)
    assert shelf.sweep(set(), NOW) == []
    assert shelf.sweep({LABELS[0]}, NOW) == [TakenAway("ds-1", None)]
