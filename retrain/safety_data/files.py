"""Rows as files: parquet and JSON lines, with the same rows in the same order."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as parquet

from retrain.safety_data.rows import Row
from retrain.safety_data.schemas import CONTENT, schema_of

_LINE_ENDS: Final = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029)}


def paths_of(name: str) -> tuple[str, str]:
    """Where a format lies in an export: its parquet, its JSON lines."""
    return f"{name}/train.parquet", f"{name}/train.jsonl"


def write_rows(folder: Path, name: str, rows: Sequence[Row]) -> None:
    """Both files of a format, each whole or not at all; none where there is no row."""
    columnar, lines = (folder / path for path in paths_of(name))
    if not rows:
        columnar.unlink(missing_ok=True)
        lines.unlink(missing_ok=True)
        return
    columnar.parent.mkdir(parents=True, exist_ok=True)
    _replace(columnar, lambda path: parquet.write_table(_table(name, rows), path))
    _replace(lines, lambda path: path.write_bytes(as_lines(rows)))


def as_lines(rows: Sequence[Row]) -> bytes:
    """One row a line, by anybody's notion of a line."""
    return "".join(_json(row).translate(_LINE_ENDS) + "\n" for row in rows).encode()


def read_lines(folder: Path, name: str) -> list[Row]:
    """The rows of the format's JSON lines; none where there is no file."""
    path = folder / paths_of(name)[1]
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []


def read_parquet(folder: Path, name: str) -> list[Row]:
    """The rows of the format's parquet; none where there is no file."""
    path = folder / paths_of(name)[0]
    if not path.is_file():
        return []
    rows: list[Row] = parquet.read_table(path).to_pylist()
    decoded = [{column: [json.loads(message) for message in row[column]] for column in CONTENT[name]} for row in rows]
    return [{**row, **content} for row, content in zip(rows, decoded, strict=True)]


def digest_of(path: Path) -> dict[str, Any]:
    """SHA-256 and size."""
    with path.open("rb") as stream:
        return {"sha256": hashlib.file_digest(stream, "sha256").hexdigest(), "bytes": path.stat().st_size}


def write_text(path: Path, text: str) -> None:
    """The file, whole or not at all."""
    _replace(path, lambda unfinished: unfinished.write_text(text, encoding="utf-8"))


def _replace(path: Path, write: Any) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    write(unfinished)
    os.replace(unfinished, path)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _table(name: str, rows: Sequence[Row]) -> Any:
    schema = schema_of(name)
    columns = [
        _messages([row[field.name] for row in rows])
        if field.name in CONTENT[name]
        else pa.array([row[field.name] for row in rows], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _messages(conversations: Sequence[Sequence[dict[str, Any]]]) -> Any:
    """Lists of JSON: built as texts, since Arrow makes no extension arrays out of Python values."""
    texts = pa.array([list(map(_json, messages)) for messages in conversations], pa.list_(pa.string()))
    return pa.ListArray.from_arrays(texts.offsets, pa.ExtensionArray.from_storage(pa.json_(), texts.values))
