"""Folders stand in their place whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.retraining.placing import discard, place, place_once
from services.retraining.workshop import without_held_out


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
