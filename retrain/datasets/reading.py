"""The words of a conversation as numbers, for telling what is nearly the same and what comes up again and again."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.normalisation import fold_lookalikes
from detectors.transcript import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    TranscriptEvent,
    part_text,
)
from retrain.safety_data.language import language_of

_CJK: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # written without spaces: each letter is taken for a word
_WORD: Final = re.compile(f"[{_CJK}]|[^\\W{_CJK}]+")
_DIGITS: Final = re.compile(r"\d+")
_DEPLOYERS: Final = frozenset({"system", "developer"})
_OTHERS: Final = _DEPLOYERS | {"user", "human", "tool", "function"}  # a role that nobody knows may be the agent's
_ENOUGH: Final = 2_000
"""Characters that tell the language."""
Words = NDArray[np.uint32]
"""Hashes of words, in their order."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`said`: what the agent says, thinks and does, numbers folded into one, so that order 17 reads like order 18.

    `words`: everything but what deployers write; `own` [words]: whether it is the agent's. `exact` is a digest of who
    says what, white space apart.
    """

    said: Words
    words: Words
    own: NDArray[np.bool_]
    exact: str
    language: str


class Reader:
    """Reads conversations. It remembers words, so that each is hashed once."""

    def __init__(self) -> None:
        self._hashes = _Hashes()
        self._folded = _Folded()

    def __call__(self, event: TranscriptEvent) -> Reading:
        """A conversation's words. Look-alike letters, case and punctuation make no difference."""
        said: list[int] = []
        words: list[int] = []
        own: list[bool] = []
        exact, spoken = hashlib.sha256(), []
        for message in event.messages:
            for part in message.parts:
                text = part_text(part) or ""
                turn = [message.role, part.type, " ".join(text.split())]
                exact.update(json.dumps(turn).encode())
                if isinstance(part, TextPart | ReasoningPart):
                    spoken.append(text)
                found = _WORD.findall(fold_lookalikes(text).casefold())
                agents = _agents(message, part)
                if agents:
                    said += [self._folded[word] for word in found]
                if message.role.lower() not in _DEPLOYERS:
                    words += [self._hashes[word] for word in found]
                    own += [agents] * len(found)
        return Reading(
            np.asarray(said, dtype=np.uint32),
            np.asarray(words, dtype=np.uint32),
            np.asarray(own, dtype=np.bool_),
            exact.hexdigest(),
            language_of([" ".join(spoken)[:_ENOUGH]]),
        )


def _agents(message: Message, part: Part) -> bool:
    if isinstance(part, ReasoningPart | ToolCallPart):
        return True
    return not isinstance(part, ToolCallResponsePart) and message.role.lower() not in _OTHERS


class _Hashes(dict[str, int]):
    def __missing__(self, word: str) -> int:
        return self.setdefault(word, zlib.crc32(word.encode("utf-8", "surrogatepass")))


class _Folded(dict[str, int]):
    def __missing__(self, word: str) -> int:
        folded = _DIGITS.sub("0", word)
        return self.setdefault(word, zlib.crc32(folded.encode("utf-8", "surrogatepass")))


_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: what Fibonacci hashing multiplies by


def runs(words: Words, length: int) -> NDArray[np.uint64]:
    """Hashes of all runs of `length` words, in their order: [words - length + 1]."""
    count = max(0, len(words) - length + 1)
    hashed = np.zeros(count, dtype=np.uint64)
    for at in range(length):
        hashed = (hashed ^ words[at : at + count].astype(np.uint64)) * _MIX
        hashed ^= hashed >> np.uint64(29)
    return hashed
