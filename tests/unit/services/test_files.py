"""Transcript files: every line that is not blank is an event or a named problem, and the next one is read."""

from __future__ import annotations

import gzip
import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from detectors.transcript import part_text
from services.files import Line, read_lines


def conversation(name: str, said: str = "hi") -> dict[str, Any]:
    return {"id": name, "messages": [{"role": "user", "content": said}]}


def as_lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def ids(lines: list[Line]) -> list[str]:
    return [line.event.conversation_id if line.event else line.error.code if line.error else "?" for line in lines]


def read(path: Path, data: bytes, now: datetime) -> list[Line]:
    path.write_bytes(data)
    return list(read_lines([str(path)], now=now))


def test_json_lines_are_read_in_order_and_named_by_file_and_line(tmp_path: Path, now: datetime) -> None:
    path = tmp_path / "some.jsonl"
    lines = read(path, as_lines(conversation("a"), conversation("b")), now)
    assert ids(lines) == ["a", "b"]
    assert [line.place for line in lines] == [f"{path}:1", f"{path}:2"]


def test_blank_lines_are_skipped_but_counted(tmp_path: Path, now: datetime) -> None:
    data = b"\n  \n" + as_lines(conversation("a")) + b"\r\n" + as_lines(conversation("b")).rstrip()
    lines = read(tmp_path / "some.jsonl", data, now)
    assert [(line.place.rsplit(":", 1)[1], name) for line, name in zip(lines, ids(lines), strict=True)] == [
        ("3", "a"),
        ("5", "b"),
    ]


def test_bad_lines_between_good_ones_are_named_without_their_content(tmp_path: Path, now: datetime) -> None:
    bad = [b'{"secret": \n', b"\xff\n", b'"secret"\n', b'{"id": "secret"}\n']
    data = as_lines(conversation("a")) + b"".join(bad) + as_lines(conversation("b"))
    lines = read(tmp_path / "some.jsonl", data, now)
    assert ids(lines) == ["a", "not_json", "not_utf8", "bad_schema", "bad_schema", "b"]
    assert not any("secret" in str(line.error) for line in lines)


def test_a_byte_order_mark_is_not_content(tmp_path: Path, now: datetime) -> None:
    for name in ("some.jsonl", "some.json"):
        assert ids(read(tmp_path / name, b"\xef\xbb\xbf" + as_lines(conversation("a")), now)) == ["a"]


def test_gzipped_lines_are_read(tmp_path: Path, now: datetime) -> None:
    data = gzip.compress(as_lines(conversation("a"), conversation("b")))
    assert ids(read(tmp_path / "some.jsonl.gz", data, now)) == ["a", "b"]


@pytest.mark.parametrize("name", ["some.json", "some.json.gz"])
def test_a_json_file_is_one_conversation_or_a_list_of_them_however_it_is_laid_out(
    tmp_path: Path, now: datetime, name: str
) -> None:
    def pretty(value: Any) -> bytes:
        data = json.dumps(value, indent=2).encode()
        return gzip.compress(data) if name.endswith(".gz") else data

    path = tmp_path / name
    assert ids(read(path, pretty(conversation("a")), now)) == ["a"]
    assert ids(read(path, pretty([conversation("a"), {"id": "?"}, conversation("b")]), now)) == ["a", "bad_schema", "b"]
    assert ids(read(path, pretty([]), now)) == []


def test_a_json_file_that_lists_messages_is_one_conversation(tmp_path: Path, now: datetime) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    (line,) = read(tmp_path / "chat.json", json.dumps(messages, indent=1).encode(), now)
    assert line.event is not None
    assert [part_text(message.parts[0]) for message in line.event.messages] == ["hi", "hello"]


def test_a_json_file_that_is_not_json_is_one_named_problem(tmp_path: Path, now: datetime) -> None:
    path = tmp_path / "some.json"
    (line,) = read(path, b'{"secret":\n1', now)
    assert line.error is not None
    assert (line.place, line.error.code) == (f"{path}:1", "not_json")


def damaged() -> list[tuple[str, bytes]]:
    whole = gzip.compress(as_lines(conversation("a"), conversation("b", "x" * 2000)), mtime=0)
    garbled = bytearray(whole)
    garbled[10] = 0x07  # a block of the type that deflate reserves: zlib's own error, not gzip's
    wrong_sum = bytearray(whole)
    wrong_sum[-6] ^= 0xFF
    return [
        ("cut short", whole[:-20]),
        ("garbled", bytes(garbled)),
        ("wrong checksum", bytes(wrong_sum)),
        ("not gzip at all", as_lines(conversation("a"))),
    ]


@pytest.mark.parametrize("name", ["broken.jsonl.gz", "broken.json.gz"])
@pytest.mark.parametrize(("how", "data"), damaged(), ids=[how for how, _ in damaged()])
def test_a_damaged_gzip_file_is_named_and_the_next_file_is_read(
    tmp_path: Path, now: datetime, name: str, how: str, data: bytes
) -> None:
    broken, good = tmp_path / name, tmp_path / "good.jsonl"
    broken.write_bytes(data)
    good.write_bytes(as_lines(conversation("good")))
    lines = list(read_lines([str(broken), str(good)], now=now))
    assert ids(lines)[-2:] == ["bad_file", "good"]
    assert lines[-2].place == str(broken)


def test_standard_input_is_read_and_left_open(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(as_lines(conversation("a"), 7)))
    monkeypatch.setattr("sys.stdin", stdin)
    lines = list(read_lines(["-"], now=now))
    assert ids(lines) == ["a", "bad_schema"]
    assert [line.place for line in lines] == ["-:1", "-:2"]
    assert not stdin.closed


def test_a_file_that_is_not_there_is_an_error_of_the_operating_system(tmp_path: Path, now: datetime) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_lines([str(tmp_path / "none.jsonl")], now=now))


def test_the_same_line_is_the_same_event_each_time(tmp_path: Path, now: datetime) -> None:
    path = tmp_path / "some.jsonl"
    first, second = read(path, as_lines(conversation("a"), conversation("a")), now)
    assert first.event == second.event
