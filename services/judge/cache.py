"""Verdicts on what was judged before, by content; in memory, and in an SQLite file where one is named."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from detectors.judge import JudgeVerdict, Teacher
from detectors.transcript import Message
from detectors.verdict import Status
from services.errors import ServicesError

_TABLE = "CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, verdict TEXT NOT NULL, used INTEGER NOT NULL)"
_INDEX = "CREATE INDEX IF NOT EXISTS verdicts_by_use ON verdicts (used)"
_NEXT = "(SELECT COALESCE(MAX(used), 0) + 1 FROM verdicts)"


def cache_key(messages: Sequence[Message], *, first_message: int, teacher: Teacher, samples: int) -> str:
    """SHA-256 over all that a verdict depends on: content and its place, prompts, model, number of answers."""
    content = [message.model_dump(mode="json") for message in messages]
    parts = [content, first_message, teacher.model_dump(mode="json"), samples]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class VerdictCache:
    """The `capacity` verdicts used last. Only scored ones are kept: what failed is tried again.

    It holds no text of transcripts. Raises `ServicesError` where the file cannot be used as a cache.
    """

    def __init__(self, capacity: int, file: Path | None = None) -> None:
        self._capacity = capacity
        self._lock = Lock()
        self._memory: OrderedDict[str, JudgeVerdict] = OrderedDict()
        self._file = file
        self._database = self._opened(file) if file else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._database:
            self._database.close()

    def get(self, key: str) -> JudgeVerdict | None:
        """The verdict kept under `key`, marked as cached and at no cost."""
        with self._lock:
            verdict = self._memory.get(key) or self._from_file(key)
            if verdict is None:
                return None
            self._remember(key, verdict)
            return verdict.model_copy(update={"cached": True, "input_tokens": 0, "output_tokens": 0, "cost": 0.0})

    def put(self, key: str, verdict: JudgeVerdict) -> None:
        """Keeps `verdict` if it is scored, and forgets those not used for longest."""
        if verdict.status is not Status.SCORED:
            return
        with self._lock:
            self._remember(key, verdict)
            if self._database:
                self._write(
                    f"INSERT OR REPLACE INTO verdicts VALUES (?, ?, {_NEXT})",  # noqa: S608 - a constant
                    (key, verdict.model_dump_json()),
                )
                self._write(
                    "DELETE FROM verdicts WHERE key NOT IN (SELECT key FROM verdicts ORDER BY used DESC LIMIT ?)",
                    (self._capacity,),
                )

    def _remember(self, key: str, verdict: JudgeVerdict) -> None:
        self._memory[key] = verdict
        self._memory.move_to_end(key)
        while len(self._memory) > self._capacity:
            self._memory.popitem(last=False)

    def _from_file(self, key: str) -> JudgeVerdict | None:
        if self._database is None:
            return None
        with closing(self._database.cursor()) as cursor:
            try:
                row = cursor.execute("SELECT verdict FROM verdicts WHERE key = ?", (key,)).fetchone()
            except sqlite3.Error as error:
                raise self._unusable(error) from None
        if row is None:
            return None
        self._write(f"UPDATE verdicts SET used = {_NEXT} WHERE key = ?", (key,))  # noqa: S608 - a constant
        try:
            return JudgeVerdict.model_validate_json(row[0])
        except ValidationError:
            return None  # of another version of Plumbline, or damaged: judged again and overwritten

    def _opened(self, file: Path) -> sqlite3.Connection:
        try:
            database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unusable(error) from None
        try:
            database.execute(_TABLE)
            database.execute(_INDEX)
        except sqlite3.Error as error:
            database.close()
            raise self._unusable(error) from None
        return database

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        assert self._database is not None  # noqa: S101 - callers looked
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: sqlite3.Error) -> ServicesError:
        return ServicesError(f"PLUMBLINE_JUDGE_CACHE_FILE: {self._file} cannot be used: {error}")
