"""What correlation needs to know of an event besides its verdict: who acted, on which model, and resemblance.

Nothing of the content can be read back: words are hashed, and only sums and minima over the hashes are kept. They go
where verdicts go, so that what correlates many conversations never sees one of them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from detectors.normalisation import fold_lookalikes
from detectors.transcript import (
    Agent,
    Deployment,
    Frozen,
    Identifier,
    Message,
    Model,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    TranscriptEvent,
    part_text,
)

SIGNATURE_HASHES: Final = 64
SKETCH_CELLS: Final = 128
_SHINGLE: Final = 3
_FEWEST_WORDS: Final = 8
"""A shorter prompt ("go on", "yes please") resembles too many others to mean anything."""
_MOST_CHARACTERS: Final = 20_000
_MOST_TOOLS: Final = 32
_MOST_REWARDS: Final = 32
_CJK: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # written without spaces: each letter is taken for a word
_WORD: Final = re.compile(f"[{_CJK}]|[^\\W{_CJK}]+")
_PRIME: Final = np.uint64((1 << 31) - 1)
_rng = np.random.default_rng(20_260_101)  # the same in every process for good: signatures are compared across them
_FACTORS: Final = _rng.integers(1, int(_PRIME), SIGNATURE_HASHES, dtype=np.uint64)
_SHIFTS: Final = _rng.integers(0, int(_PRIME), SIGNATURE_HASHES, dtype=np.uint64)

Signature = Annotated[str, Field(pattern=f"^[0-9a-f]{{{8 * SIGNATURE_HASHES}}}$")]
"""MinHash of a text's shingles of three words, as hex: the share of equal hashes estimates the Jaccard similarity."""

Sketch = Annotated[str, Field(pattern=f"^[0-9a-f]{{{2 * SKETCH_CELLS}}}$")]
"""Signed counts of hashed words in 128 cells, one byte each, as hex: their cosine estimates that of the word counts."""


class Reward(Frozen):
    """One reward that the monitored model got: what for, and how much."""

    name: Identifier = "reward"
    value: float


class Observation(Frozen):
    """What was seen of one event. `task` is what the agent was asked to do, `actions` what it says and does."""

    agent: Agent = Agent()
    model: Model = Model()
    deployment: Deployment = Deployment()
    final: bool = False
    messages: int = Field(default=0, ge=0)
    characters: int = Field(default=0, ge=0, description="of all readable parts")
    tools: tuple[Identifier, ...] = ()
    rewards: tuple[Reward, ...] = ()
    prompt: Signature | None = Field(default=None, description="of what users say; None where that is very little")
    task: Sketch | None = Field(default=None, description="of the conversation's first words; None later on")
    actions: Sketch | None = None


def observe(event: TranscriptEvent) -> Observation:
    """The observation of `event`."""
    texts = [part_text(part) or "" for message in event.messages for part in message.parts]
    asked = [message for message in event.messages if message.role in ("user", "human")]
    first = [message for message in event.messages if message.role in ("system", "developer")] + asked[:1]
    return Observation(
        agent=event.agent,
        model=event.model,
        deployment=event.deployment,
        final=event.final,
        messages=len(event.messages),
        characters=sum(map(len, texts)),
        tools=_tools(event.messages),
        rewards=rewards(event.reward),
        prompt=signature(_words(_texts(asked, TextPart))),
        task=sketch(_words(_texts(first, TextPart))) if event.first_message == 0 else None,
        actions=sketch(_words(_texts(_of_agent(event.messages), TextPart, ReasoningPart, ToolCallPart))),
    )


def rewards(given: Sequence[dict[str, Any]]) -> tuple[Reward, ...]:
    """Rewards that can be read: a finite number as `value` or `score`, and a `name` where there is one."""
    found = []
    for item in given[:_MOST_REWARDS]:
        value = item.get("value", item.get("score"))
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
            continue
        name = item.get("name")
        usable = isinstance(name, str) and 0 < len(name) <= 64 and name.isprintable()
        found.append(Reward(name=name, value=value) if usable else Reward(value=value))
    return tuple(found)


def signature(words: Sequence[str]) -> str | None:
    """MinHash (Broder, 1997) of shingles of three words; None for less than eight words."""
    if len(words) < _FEWEST_WORDS:
        return None
    shingles = {" ".join(words[at : at + _SHINGLE]) for at in range(len(words) - _SHINGLE + 1)}
    hashes = np.fromiter((zlib.crc32(each.encode()) for each in shingles), dtype=np.uint64) % _PRIME
    # Below 2**31 each: products and sums stay below 2**63.
    permuted = (hashes[:, None] * _FACTORS + _SHIFTS) % _PRIME
    return str(permuted.min(axis=0).astype(">u4").tobytes().hex())


def resemblance(one: str, other: str) -> float:
    """Estimated Jaccard similarity of the texts behind two signatures, 0 to 1, give or take 0.06."""
    return float((hashes_of(one) == hashes_of(other)).mean())


def hashes_of(signed: str) -> NDArray[np.uint32]:
    """A signature's hashes [SIGNATURE_HASHES]."""
    return np.frombuffer(bytes.fromhex(signed), dtype=">u4").astype(np.uint32)


def sketch(words: Iterable[str]) -> str | None:
    """A count sketch (Charikar et al., 2002) of square roots of word counts, scaled to one byte a cell."""
    counts: dict[str, int] = {}
    for word in words:
        if len(word) > 2 or not word.isascii():
            counts[word] = counts.get(word, 0) + 1
    if not counts:
        return None
    cells = np.zeros(SKETCH_CELLS)
    for word, count in counts.items():
        digest = zlib.crc32(word.encode())
        cells[digest % SKETCH_CELLS] += count**0.5 * (1 if digest & 0x8000_0000 else -1)
    largest = float(np.abs(cells).max())
    if not largest:
        return None
    return np.round(cells * (127 / largest)).astype(np.int8).tobytes().hex()


def cells_of(sketched: str) -> NDArray[np.float64]:
    """A sketch's cells [SKETCH_CELLS], of length 1."""
    cells = np.frombuffer(bytes.fromhex(sketched), dtype=np.int8).astype(np.float64)
    return np.asarray(cells / max(float(np.linalg.norm(cells)), 1e-9))


def distance(task: str, actions: str) -> float:
    """1 less the cosine of two sketches, 0 to 2: how far what was done is from what was asked, by its words."""
    return float(1 - cells_of(task) @ cells_of(actions))


def _of_agent(messages: Iterable[Message]) -> list[Message]:
    return [message for message in messages if message.role in ("assistant", "model", "ai")]


def _texts(messages: Iterable[Message], *kinds: type[Part]) -> str:
    texts = [part_text(part) or "" for message in messages for part in message.parts if isinstance(part, kinds)]
    return " ".join(texts)[:_MOST_CHARACTERS]


def _words(text: str) -> list[str]:
    return _WORD.findall(fold_lookalikes(text).casefold())


def _tools(messages: Iterable[Message]) -> tuple[str, ...]:
    """Names of the tools that were called, in order of their first call."""
    names = (part.name for message in messages for part in message.parts if isinstance(part, ToolCallPart))
    usable = (name[:256] for name in names if name and name[:256].isprintable())
    return tuple(dict.fromkeys(usable))[:_MOST_TOOLS]
