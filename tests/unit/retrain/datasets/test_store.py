"""Versions in folders: whole or not there, unchanged or refused, and closed to training where they are held out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retrain.queued import QueuedLabel

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")

import pyarrow.parquet as pq

from retrain.datasets import (
    Dataset,
    DatasetError,
    Part,
    Policy,
    holding,
    open_dataset,
    open_for_gate,
    open_for_training,
    write,
)
from retrain.datasets.assemble import main
from retrain.datasets.assembly import assemble
from retrain.datasets.forget import main as forget
from retrain.datasets.forgetting import without
from retrain.datasets.manifest import MANIFEST, Manifest, file_of, name_of, rows_digest
from retrain.datasets.parquet import encoded

pytestmark = pytest.mark.retrain
MakeLabel = Callable[..., QueuedLabel]
FILES = (MANIFEST, *map(file_of, Part))


@pytest.fixture(scope="module")
def labels(make_label: MakeLabel) -> list[QueuedLabel]:
    sides = (("confirmed", 0), ("dismissed", 50))
    return [make_label(f"c{n + at}", number=n + at, disposition=what) for what, at in sides for n in range(16)]


@pytest.fixture(scope="module")
def dataset(labels: list[QueuedLabel]) -> Dataset:
    return assemble(labels, None, Policy())


@pytest.fixture
def folder(tmp_path: Path, dataset: Dataset) -> Path:
    return write(tmp_path, dataset)


def test_a_version_is_read_back_as_it_was_written(folder: Path, dataset: Dataset) -> None:
    read = open_dataset(folder)
    assert folder.name == dataset.name == read.name
    assert read.parts == dataset.parts
    assert read.manifest.model_copy(update={"files": {}}) == dataset.manifest
    assert sorted(path.name for path in folder.parent.iterdir()) == [dataset.name]  # nothing half-done beside it
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_the_same_version_twice_is_the_same_bytes(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    again = write(tmp_path / "elsewhere", open_dataset(folder))
    assert [(folder / name).read_bytes() for name in FILES] == [(again / name).read_bytes() for name in FILES]
    before = {name: (folder / name).stat().st_mtime_ns for name in FILES}
    assert write(folder.parent, dataset) == folder
    assert {name: (folder / name).stat().st_mtime_ns for name in FILES} == before


def test_training_never_reads_what_is_held_out(folder: Path, dataset: Dataset) -> None:
    (folder / file_of(Part.HELD_OUT)).unlink()
    found = open_for_training(folder)
    for conversations, part in ((found.train, Part.TRAIN), (found.calibration, Part.CALIBRATION)):
        assert [each.event.conversation_id for each in conversations] == [
            each.conversation_id for each in dataset.parts[part]
        ]
    assert found.manifest.parts[Part.HELD_OUT].examples == len(dataset.parts[Part.HELD_OUT])
    with pytest.raises(DatasetError, match="held_out"):
        open_for_gate(folder)
    with pytest.raises(DatasetError, match="held_out"):
        open_dataset(folder)


def test_the_gate_reads_what_is_held_out_alone(folder: Path, dataset: Dataset) -> None:
    for part in (Part.TRAIN, Part.CALIBRATION):
        (folder / file_of(part)).unlink()
    found = open_for_gate(folder)
    assert tuple(each.example for each in found) == dataset.parts[Part.HELD_OUT]
    assert [each.conversation.misaligned for each in found] == [each.example.confirmed for each in found]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, -1, 0.5])
def test_a_changed_byte_anywhere_is_refused(folder: Path, name: str, place: float) -> None:
    data = bytearray((folder / name).read_bytes())
    at = int(place * len(data)) if isinstance(place, float) else place
    data[at] = data[at] ^ 1 if data[at : at + 1] != b"\n" else ord("x")
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(DatasetError):
        open_dataset(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_short_missing_or_a_link_is_refused(folder: Path, name: str, tmp_path: Path) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-5])
    with pytest.raises(DatasetError):
        open_dataset(folder)
    (folder / name).unlink()
    with pytest.raises(DatasetError):
        open_dataset(folder)
    (tmp_path / "real").write_bytes(whole)
    (folder / name).symlink_to(tmp_path / "real")
    with pytest.raises(DatasetError, match="not a plain file"):
        open_dataset(folder)


def rewritten(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **changes}))


def test_rows_that_were_changed_with_their_digests_are_refused(folder: Path, dataset: Dataset) -> None:
    """Whoever can write files can write digests: the name is what they cannot keep."""
    rows = dataset.parts[Part.TRAIN]
    turned = [rows[0].model_copy(update={"disposition": "dismissed"}), *rows[1:]]
    data = encoded(turned)
    (folder / "train.parquet").write_bytes(data)
    files = json.loads((folder / MANIFEST).read_text())["files"]
    files["train.parquet"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    rewritten(folder, files=files)
    with pytest.raises(DatasetError, match="examples are not what"):
        open_for_training(folder)
    parts = {part.value: digest.model_dump() for part, digest in dataset.manifest.parts.items()}
    rewritten(folder, files=files, parts={**parts, "train": rows_digest(turned).model_dump()})
    with pytest.raises(DatasetError, match="changed after"):
        open_for_training(folder)
    consistent = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    rewritten(folder, files=files, parts={**parts, "train": rows_digest(turned).model_dump()}, name=name_of(consistent))
    with pytest.raises(DatasetError, match="changed after"):  # under its old folder, which is what runs name
        open_for_training(folder)


@pytest.mark.parametrize(
    "changes",
    [{"parent": "ds-000000000000"}, {"policy": {"held_out": 0.1}}, {"held_back": {"trigger": ["x"]}}, {"extra": 1}],
)
def test_a_manifest_that_was_changed_is_refused(folder: Path, changes: dict[str, object]) -> None:
    rewritten(folder, **changes)
    with pytest.raises(DatasetError):
        open_for_training(folder)


def test_a_broken_version_is_not_taken_for_the_one_to_be_written(folder: Path, dataset: Dataset) -> None:
    (folder / "train.parquet").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"train\.parquet"):
        write(folder.parent, dataset)


def test_columns_keep_their_types_where_nothing_is_in_them(tmp_path: Path, make_label: MakeLabel) -> None:
    folder = write(tmp_path, assemble([make_label("only")], None, Policy()))
    tables = [pq.read_table(folder / file_of(part)) for part in Part]
    assert tables[0].schema == tables[1].schema == tables[2].schema
    assert [table.num_rows for table in tables] == [1, 0, 0]


class TestForgetting:
    def test_what_is_left_has_the_same_split_and_nothing_of_what_is_gone(
        self, dataset: Dataset, labels: list[QueuedLabel]
    ) -> None:
        gone = [dataset.parts[part][0] for part in Part]
        left = without(dataset, [each.label_ids[0] for each in gone])
        for part in Part:
            assert left.parts[part] == dataset.parts[part][1:]
        assert left.manifest.parent == dataset.name != left.name
        assert not any(each.label_ids[0] in left.manifest.model_dump_json() for each in gone)
        assert len(left.manifest.seen) == len(dataset.manifest.seen) - 2
        still = [label for label in labels if label.key not in {each.key for each in gone}]
        assert assemble(still, left, Policy()) is left

    def test_nothing_to_forget_is_nothing_new(self, dataset: Dataset) -> None:
        assert without(dataset, ["00000000-0000-0000-0000-000000000000"]) is dataset

    def test_versions_that_hold_a_conversation_are_found(self, folder: Path, dataset: Dataset) -> None:
        row = dataset.parts[Part.TRAIN][0]
        left = write(folder.parent, without(dataset, row.label_ids))
        assert list(holding(folder.parent, [row.key])) == [folder]
        (left / MANIFEST).write_text("{}")
        assert set(holding(folder.parent, [row.key])) == {folder, left}  # nobody can tell what is in it

    def test_from_the_command_line(
        self, folder: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        row = dataset.parts[Part.HELD_OUT][0]
        (tmp_path / "ids").write_text("\n".join(row.label_ids))
        told = ["--dataset", str(folder), "--root", str(tmp_path / "left"), "--labels", str(tmp_path / "ids")]
        assert forget(told) == 0
        name = json.loads(capsys.readouterr().out)["dataset"]
        assert len(open_for_gate(tmp_path / "left" / name)) == len(dataset.parts[Part.HELD_OUT]) - 1
        (folder / MANIFEST).write_text("{}")
        assert forget(told) == 1
        assert "manifest" in capsys.readouterr().err


def record(label: QueuedLabel) -> dict[str, object]:
    return {"schema_version": 1, "kind": "label", **label.model_dump(mode="json")}


class TestCommandLine:
    def lines(self, tmp_path: Path, *records: dict[str, object]) -> str:
        path = tmp_path / "labels.jsonl"
        path.write_text("\n".join(map(json.dumps, records)))
        return str(path)

    def test_from_records_to_a_version_and_the_next(
        self, tmp_path: Path, labels: list[QueuedLabel], capsys: pytest.CaptureFixture[str], make_label: MakeLabel
    ) -> None:
        root = tmp_path / "datasets"
        path = self.lines(tmp_path, *map(record, labels))
        assert main(["--labels", path, "--root", str(root)]) == 0
        *said, last = map(json.loads, capsys.readouterr().out.splitlines())
        assert [each["progress"] for each in said] == sorted(each["progress"] for each in said)
        assert said[-1]["progress"] == 1.0
        assert last["examples"] == {
            part.value: len(examples) for part, examples in open_dataset(root / last["dataset"]).parts.items()
        }
        more = self.lines(tmp_path, *map(record, labels), record(make_label("new", number=99)))
        told = ["--labels", more, "--root", str(root), "--previous", str(root / last["dataset"])]
        assert main([*told, "--policy", '{"held_out": 0.3}', "--salt", "s"]) == 0
        then = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert open_dataset(root / then["dataset"]).manifest.parent == last["dataset"]
        assert then["new"] == 1

    def test_what_is_taken_back_is_not_in_it_whatever_comes_first(
        self, tmp_path: Path, make_label: MakeLabel, capsys: pytest.CaptureFixture[str]
    ) -> None:
        withdrawn, erased, stays = (make_label(name) for name in ("w", "e", "s"))
        place = {"tenant_id": "t", "at": "2026-02-01T00:00:00Z", "schema_version": 1}
        records = [
            {**place, "kind": "erased", "conversation_id": "e", "label_ids": []},
            record(withdrawn),
            record(erased),
            record(stays),
            {**place, "kind": "withdrawn", "label_id": str(withdrawn.label_id), "conversation_id": "w"},
        ]
        assert main(["--labels", self.lines(tmp_path, *records), "--root", str(tmp_path / "d")]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["labels"] == 1

    @pytest.mark.parametrize(
        ("line", "policy", "said"),
        [
            ('{"secret": "swordfish"', "{}", "line 2"),
            ('{"kind": "swordfish", "schema_version": 1}', "{}", "line 2: kind"),
            ("", '{"held_out": "swordfish"}', "held_out"),
            ("", '{"swordfish_is_no_option": 1, "held_out": 2}', "policy"),
            ("", "{", "policy"),
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_is_written(
        self,
        tmp_path: Path,
        make_label: MakeLabel,
        capsys: pytest.CaptureFixture[str],
        line: str,
        policy: str,
        said: str,
    ) -> None:
        path = tmp_path / "labels.jsonl"
        path.write_text(json.dumps(record(make_label("a"))) + "\n" + line)
        assert main(["--labels", str(path), "--root", str(tmp_path / "d"), "--policy", policy]) == 1
        told = capsys.readouterr()
        assert said in told.err
        assert 'swordfish"' not in told.err + told.out
        assert not (tmp_path / "d").exists()

    @pytest.mark.timeout(60)
    def test_as_a_program_and_when_killed_nothing_half_written_is_seen(
        self, tmp_path: Path, labels: list[QueuedLabel]
    ) -> None:
        root = tmp_path / "datasets"
        path = self.lines(tmp_path, *map(record, labels))
        # The process dies before the folder is renamed into its place.
        killed = (
            "import os, pathlib\nfrom retrain.datasets.assemble import main\n"
            "pathlib.Path.rename = lambda *_: os._exit(137)\n"
        )
        arguments = ["--labels", path, "--root", str(root)]
        code = f"{killed}main({arguments!r})"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 137
        assert list(root.glob("ds-*")) == []
        done = subprocess.run(
            [sys.executable, "-m", "retrain.datasets.assemble", *arguments],
            capture_output=True,
            check=True,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        open_dataset(root / json.loads(done.stdout.splitlines()[-1])["dataset"])
