"""Transcript files: plain, gzipped, or standard input."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

from detectors.codec import read_events
from detectors.codec.json_bytes import parse
from detectors.errors import RecordError
from detectors.transcript import TranscriptEvent


@dataclass(frozen=True, slots=True)
class Line:
    """One conversation of a file, or what is wrong with it. `place` is `FILE:LINE`."""

    place: str
    event: TranscriptEvent | None
    error: RecordError | None = None


def read_lines(paths: Iterable[str], *, now: datetime) -> Iterator[Line]:
    """All conversations of `paths`, in order; `-` is standard input. Raises `OSError` for a file that cannot be opened.

    A `.json` (or `.json.gz`) file is one JSON value: a conversation, or a list of them.
    """
    for path in paths:
        with _opened(path) as stream:
            try:
                one_value = path.removesuffix(".gz").endswith(".json")
                lines: Iterable[bytes] = _values(stream.read()) if one_value else stream
                for number, item in read_events(lines, now=now):
                    place = f"{path}:{number}"
                    yield Line(place, None, item) if isinstance(item, RecordError) else Line(place, item)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                yield Line(path, None, RecordError("bad_file", f"the file is damaged: {error}"))


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)  # not ours to close
    return cast(BinaryIO, gzip.open(path, "rb")) if path.endswith(".gz") else Path(path).open("rb")


def _values(document: bytes) -> list[bytes]:
    """The conversations of one JSON document, a line each."""
    try:
        value = parse(document)
    except RecordError:
        return [document]  # reading it again says what is wrong
    if not isinstance(value, list) or any(isinstance(item, dict) and "role" in item for item in value):
        value = [value]
    return [json.dumps(item).encode() for item in value]
