"""What a run says while it works: one JSON line after the other, for whoever started it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

Say = Callable[[float, str], None]
"""How much is done, from 0 to 1, and in words. Never anything of a transcript."""


@dataclass(slots=True)
class JsonLines:
    """Lines of `{"progress", "said"}`, each written out at once."""

    stream: TextIO

    def __call__(self, progress: float, said: str) -> None:
        line = json.dumps({"progress": round(min(1.0, max(0.0, progress)), 4), "said": said})
        self.stream.write(f"{line}\n")
        self.stream.flush()


def silent(progress: float, said: str) -> None:
    """Says nothing."""


def within(say: Say, first: float, last: float, said: str, *, steps: int = 10) -> Callable[[float], None]:
    """For one part of a run: takes its share done, says so at most `steps` times between `first` and `last`."""
    told = 0

    def tell(share: float) -> None:
        nonlocal told
        if int(share * steps) > told:
            told = int(share * steps)
            say(first + share * (last - first), said)

    return tell
