"""An export is whole and what its manifest says, or is not there; erased rows leave it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain.safety_data.held_out import HeldOut, HeldOutError
from tests.safety_data import LEDGER, judged, judgement, several

pytestmark = pytest.mark.retrain
Export = Callable[..., Path]


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name / "train.jsonl").read_text().split("\n")[:-1]]


def hold_together(folder: Path) -> None:
    """Digests are those of the files, both forms hold the same rows, and the card names the files that there are."""
    from retrain.safety_data.files import read_lines, read_parquet

    told = manifest(folder)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
    assert told["files"].keys() == there
    for name, digest in told["files"].items():
        data = (folder / name).read_bytes()
        assert digest == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    for name, count in told["rows"].items():
        assert read_lines(folder, name) == read_parquet(folder, name)
        assert len(read_lines(folder, name)) == count
    header = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    named = {file["path"] for config in header.get("configs", ()) for file in config["data_files"]}
    assert named == {name for name in there if name.endswith(".parquet")}


def test_an_export_is_what_its_manifest_says(exported: Export, tmp_path: Path) -> None:
    folder = exported()
    hold_together(folder)
    told = manifest(folder)
    assert (told["labels"], told["conversations"]) == (8, 8)
    assert told["rows"] == {"sft": 5, "preferences": 5, "rewards": 8, "refusals": 5}
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    page = (folder / "README.md").read_text()
    assert "3 held back (dismissed)" in page
    assert "nothing is penalised for reasoning alone" in page


def test_the_same_export_has_the_same_name_and_another_one_has_not(exported: Export) -> None:
    assert exported() == exported(several()[::-1])
    assert exported() != exported(penalise_reasoning=True) != exported(several()[1:])


def test_a_format_without_a_row_has_no_file(exported: Export) -> None:
    folder = exported([judged(judgement(corrected_answer=None))])
    hold_together(folder)
    assert manifest(folder)["rows"] == {"sft": 0, "preferences": 0, "rewards": 1, "refusals": 0}


def test_hostile_texts_come_back_as_they_were(exported: Export) -> None:
    said = 'x\u2028y\x00 \U0001f600 "}\n{"prompt": 1}\r\n\\u0041'
    messages = [LEDGER[1], {"role": "assistant", "content": said}]
    folder = exported([judged(judgement(spans=()), messages=messages)])
    hold_together(folder)
    (row,) = lines(folder, "preferences")
    assert row["rejected"] == [{"role": "assistant", "content": said}]
    assert len((folder / "preferences" / "train.jsonl").read_text().splitlines()) == 1


def test_what_names_a_held_out_detector_fails_once_written_and_nothing_is_left(
    exported: Export, tmp_path: Path
) -> None:
    guard = HeldOut(frozenset({"first-0123456789ab"}))  # as if it had slipped past the first look
    with pytest.raises(HeldOutError, match=r"sft/train\.parquet, row 1: provenance"):
        exported(held_out=guard)
    assert list(tmp_path.iterdir()) == []


def test_what_was_erased_leaves_both_forms_and_everything_else_stays(exported: Export) -> None:
    from retrain.safety_data.thinning import thin

    folder = exported()
    before = lines(folder, "rewards")
    assert thin(folder, conversations={"c1"}, labels={"l7"}) == 7
    hold_together(folder)
    assert lines(folder, "rewards") == [row for row in before if row["conversation"] not in ("c1", "c7")]
    assert manifest(folder)["erased_rows"] == 7
    assert thin(folder, conversations={"c1"}, labels={"l7"}) == 0
    assert thin(folder, conversations={row["conversation"] for row in before}, labels=()) == 16
    hold_together(folder)
    assert not list(folder.glob("*/train.*"))


def test_an_erasure_that_was_killed_between_two_files_is_done_again(exported: Export) -> None:
    from retrain.safety_data.files import read_lines, write_rows
    from retrain.safety_data.thinning import thin

    folder = exported()
    write_rows(folder, "sft", [row for row in read_lines(folder, "sft") if row["conversation"] != "c1"])
    assert thin(folder, conversations={"c1"}, labels=()) == 3
    hold_together(folder)


def test_what_is_left_alone_by_an_erasure_goes_too_where_k_was_asked_for(exported: Export) -> None:
    from retrain.safety_data.thinning import thin

    of = [judged(judgement(f"l{n}"), conversation=f"c{n}", tenant="ab"[n >= 4]) for n in range(8)]
    folder = exported(of, k=4)
    assert {row["tenant"] for row in lines(folder, "sft")} == {"a", "b"}
    assert thin(folder, conversations={"c0"}, labels=()) == 4 * 3
    hold_together(folder)
    assert {row["conversation"] for row in lines(folder, "sft")} == {"c4", "c5", "c6", "c7"}


def test_with_k_the_moment_is_no_finer_than_the_day_and_names_are_coarse(exported: Export) -> None:
    of = [judged(judgement(f"l{n}"), conversation=f"c{n}", tenant=f"tenant-{n}") for n in range(5)]
    folder = exported(of, k=5)
    (first, *_) = lines(folder, "sft")
    assert (first["tenant"], first["labelled_at"], first["day"]) == ("*", "2026-03-04", "2026-03-04")
    assert "tenant-" not in "".join(path.read_text() for path in folder.rglob("*.*") if path.suffix != ".parquet")
