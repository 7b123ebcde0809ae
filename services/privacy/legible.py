"""A text as a person reads it, for recognisers to search in, and the way back to the characters that are stored.

Full-width digits are digits, exotic dashes are dashes, look-alike letters are Latin ones, invisible characters are
gone, and JSON's escapes (`\\n`, `\\u0041`, also in JSON that is quoted in JSON) are what they stand for. Escaped quotes
stay as they are: where a quoted value ends depends on them.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from detectors.normalisation import fold_lookalikes

_INVISIBLE: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff"
)
_UNIT: Final = re.compile(rf"(?P<gone>[{_INVISIBLE}]+)|(?<!\\)\\++(?:(?P<short>[bfnrt/])|u(?P<code>[0-9a-fA-F]{{4}}))")
_SHORT: Final = {"n": "\n", "r": "\r", "t": "\t", "b": " ", "f": " ", "/": "/"}


class _Table(dict[int, int]):
    """For `str.translate`: each character as the ASCII one that it is a variant of, worked out when first met."""

    def __missing__(self, code: int) -> int:
        folded = self[code] = ord(_folded(chr(code)))
        return folded


def _folded(char: str) -> str:
    if char.isascii() or char in "\u2028\u2029":
        return char
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    match unicodedata.category(char):
        case "Pd":
            return "-"
        case "Zs":
            return " "
    plain = unicodedata.normalize("NFKC", char)
    return plain if len(plain) == 1 and plain.isascii() else {"\u2212": "-"}.get(char, char)


_TABLE: Final = _Table()
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class Legible:
    """`text` is what is read. From the i-th of `starts` on, its characters stand at `origins[i]` and after in the
    original, each of them `widths[i]` wide."""

    text: str
    starts: tuple[int, ...] = (0,)
    origins: tuple[int, ...] = (0,)
    widths: tuple[int, ...] = (1,)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where `text[start:end]` (not empty) stands in the original, with what is invisible inside, not around it."""
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, index: int) -> tuple[int, int]:
        run = bisect_right(self.starts, index) - 1
        start = self.origins[run] + index - self.starts[run]
        return start, start + self.widths[run]


def legible(text: str) -> Legible:
    """`text` for reading. Plain ASCII without escapes is returned as it is."""
    if text.isascii() and "\\" not in text:
        return Legible(text)
    folded = _NOT_ASCII.sub(lambda found: found.group().translate(_TABLE), text)
    return _squeezed(fold_lookalikes(folded))


def _squeezed(text: str) -> Legible:
    """Without invisible characters, each escape as one character."""
    pieces: list[str] = []
    runs: list[tuple[int, int, int]] = []
    length = done = 0
    for unit in _UNIT.finditer(text):
        if unit.start() > done:
            pieces.append(text[done : unit.start()])
            runs.append((length, done, 1))
            length += unit.start() - done
        if not unit["gone"]:
            pieces.append(_character(unit))
            runs.append((length, unit.start(), unit.end() - unit.start()))
            length += 1
        done = unit.end()
    if not done:
        return Legible(text)
    runs.append((length, done, 1))
    starts, origins, widths = zip(*runs, strict=True)
    return Legible("".join([*pieces, text[done:]]), starts, origins, widths)


def _character(escape: re.Match[str]) -> str:
    if escape["short"]:
        return _SHORT[escape["short"]]
    char = chr(int(escape["code"], 16))
    return _folded(char) if char.isprintable() and not char.isspace() else " "
