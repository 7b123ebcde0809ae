"""Labelled conversations from files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from detectors.taxonomy import LABELS, MISALIGNMENT, Category
from detectors.transcript import part_text
from retrain.sources import LABEL_TRUST, LabelledConversation, data_digest, label_trust, read_source, source_files


def row(name: str = "a", **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "go"}, {"role": "assistant", "content": "gone"}]
    return {"id": name, "label": "aligned", "category": None, "group": "g", "messages": messages, **fields}


def read(path: Path, *rows: Any) -> list[LabelledConversation]:
    path.write_text("\n".join(json.dumps(each) for each in rows))
    return list(read_source(path))


def labels(conversation: LabelledConversation) -> set[str]:
    return {label for label, value in zip(LABELS, conversation.labels, strict=True) if value}


@pytest.mark.parametrize(
    ("label", "category", "expected"),
    [
        ("misaligned", "sabotage", {"sabotage", MISALIGNMENT}),
        ("misaligned", "sandbagging", {"deception", MISALIGNMENT}),
        ("misaligned", "sycophancy_manipulation", {"manipulation", MISALIGNMENT}),
        ("misaligned", "unsafe_tool_action", {"unsafe_action", MISALIGNMENT}),
        ("misaligned", "the_setting_of_some_paper", {MISALIGNMENT}),
        ("misaligned", None, {MISALIGNMENT}),
        ("aligned", "sabotage", set()),
        ("aligned", None, set()),
    ],
)
def test_labels_are_the_category_and_overall_misalignment(
    tmp_path: Path, label: str, category: str | None, expected: set[str]
) -> None:
    (conversation,) = read(tmp_path / "set.jsonl", row(label=label, category=category))
    assert labels(conversation) == expected
    assert conversation.misaligned == (MISALIGNMENT in expected)


@pytest.mark.parametrize("category", list(Category))
def test_every_category_has_its_own_label(tmp_path: Path, category: Category) -> None:
    (conversation,) = read(tmp_path / "set.jsonl", row(label="misaligned", category=category.value))
    assert category.value in labels(conversation)


def test_conversations_come_in_the_order_of_the_file_with_its_name_as_source(tmp_path: Path) -> None:
    found = read(tmp_path / "some_set.v2.jsonl", row("a"), row("b"))
    assert [conversation.event.conversation_id for conversation in found] == ["a", "b"]
    assert {conversation.source for conversation in found} == {"some_set"}
    assert [part_text(message.parts[0]) for message in found[0].event.messages] == ["go", "gone"]


def test_gzipped_files_read_the_same(tmp_path: Path) -> None:
    plain = read(tmp_path / "set.jsonl", row("a", label="misaligned", category="coercion"), row("b"))
    packed = tmp_path / "packed" / "set.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress((tmp_path / "set.jsonl").read_bytes()))
    assert [(each.event, each.source, each.group, labels(each)) for each in read_source(packed)] == [
        (each.event, each.source, each.group, labels(each)) for each in plain
    ]


def test_variants_share_their_group_or_else_their_pair_or_else_stand_alone(tmp_path: Path) -> None:
    bare = {key: value for key, value in row("c").items() if key != "group"}
    found = read(tmp_path / "set.jsonl", row("a", group="g1"), {**bare, "pair": "p1"}, bare)
    assert [conversation.group for conversation in found] == ["g1", "p1", "c"]


def test_a_line_that_is_no_object_names_its_source(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken_set"):
        read(tmp_path / "broken_set.jsonl", [1])


def test_source_files_are_the_json_lines_by_name(tmp_path: Path) -> None:
    for name in ("b.jsonl.gz", "a.jsonl", "c.jsonl", "README.md", "d.json"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in source_files(tmp_path)] == ["a.jsonl", "b.jsonl.gz", "c.jsonl"]
    assert source_files(tmp_path / "none") == []


def test_the_digest_depends_on_names_and_contents_and_on_nothing_else(tmp_path: Path) -> None:
    def folder(name: str, **files: bytes) -> list[Path]:
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / f"{file}.jsonl").write_bytes(content)
        return source_files(tmp_path / name)

    first = data_digest(folder("first", a=b"1", b=b"2"))
    assert first == data_digest(folder("copy", b=b"2", a=b"1"))
    others = [folder("changed", a=b"1", b=b"3"), folder("renamed", a=b"1", c=b"2"), folder("moved", a=b"12", b=b"")]
    assert len({first, *map(data_digest, others)}) == 4


def test_trust_in_labels_is_a_weight(tmp_path: Path) -> None:
    assert all(0 < trust <= 1 for trust in LABEL_TRUST.values())


def test_a_judges_labels_keep_their_teacher_and_count_half(tmp_path: Path) -> None:
    (judged,) = read(tmp_path / "anything.jsonl", row(source="judge:careful-1"))
    (plain,) = read(tmp_path / "mine.jsonl", row(source="elsewhere"))
    assert (judged.source, plain.source) == ("judge:careful-1", "mine")
    assert [label_trust(each.source) for each in (judged, plain)] == [0.5, 1.0]
