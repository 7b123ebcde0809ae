"""Phone numbers, found by Google's libphonenumber where a quick look says that there may be one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from phonenumbers import Leniency, PhoneNumberMatcher

_BLOCK: Final = r"(?<![0-9])[0-9]{1,17}+(?![0-9])"
_GAP: Final = r"[ ()./~-]{1,4}+"
# At least 7 digits in blocks of at most 17 (E.164 has 15, and a prefix to dial abroad with).
_CANDIDATE: Final = re.compile(rf"[+(]{{0,2}}+(?=(?:[ ()./~-]{{0,4}}[0-9]){{7}}){_BLOCK}(?:{_GAP}{_BLOCK})*+")
_DIALLED: Final = re.compile(r"(?<![0-9])00(?=[1-9])")
_MOST_BLOCKS: Final = 20
"""More is a table, taken in pieces."""
_CHARS_BEFORE: Final = 2
_CHARS_BEHIND: Final = 4
_EXTENSION: Final = re.compile(r"[ ,;]{0,3}(?:e?xt|x|int|anexo|доб|#)[^0-9\n]{0,8}[0-9]{1,8}", re.IGNORECASE)
"""What stands around a number says whether it is one, and may be its extension ("ext. 12")."""

_TRIES: Final = 300
_CHARS_PER_TRY: Final = 400
# What is masked without validation: a plus, a leading zero or a bracket, with as many digits as phone numbers have, or
# groups as in North America.
_SHAPE: Final = re.compile(
    r"(?<![0-9A-Za-z.])(?:(?:\+|\(?0|\()[ ()./~-]{0,2}(?:[0-9][ ()./~-]{0,3}){7,14}[0-9]"
    r"|[2-9][0-9]{2}([ .-]?)[2-9][0-9]{2}\1[0-9]{4})(?![0-9A-Za-z])"
)
_DECIMAL: Final = re.compile(r"[0-9]{1,2}\.[0-9]+")


class PhoneNumbers:
    """Valid numbers: with `+` or `00` and country code those of all countries, without those of `regions`.

    The latter must also be grouped as their country does it, or not at all: most tables and IP addresses are not.
    Finding out whether something is a phone number is slow. A text may hold 300 numbers, or blocks of digits that turn
    out to be none, and one more per 400 characters; after that, what has the shape of a phone number is taken for one.
    """

    kind: Final = "phone"

    def __init__(self, regions: Sequence[str] = ()) -> None:
        self._regions = tuple(regions)

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        tries = _TRIES + len(text) // _CHARS_PER_TRY
        for start, end, blocks in _candidates(text):
            if tries < 0:
                yield from (found.span() for found in _SHAPE.finditer(text, start, end))
                continue
            found = _valid(text, start, end, self._asked(text[start:end]), most_tries=4 * blocks + 8)
            yield from found
            tries -= 1 if found else blocks

    def _asked(self, candidate: str) -> tuple[str | None, ...]:
        """Where a number may be from: None stands for "it says so itself"."""
        international = "+" in candidate or _DIALLED.search(candidate)
        return (None, *self._regions) if international else self._regions


def _candidates(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, blocks of digits) of what may hold a phone number."""
    for chain in _CANDIDATE.finditer(text):
        if _DECIMAL.fullmatch(chain.group()):
            continue
        blocks = [block.end() for block in re.finditer("[0-9]+", text[chain.start() : chain.end()])]
        start = 0
        for first in range(0, len(blocks), _MOST_BLOCKS):
            piece = blocks[first : first + _MOST_BLOCKS]
            yield chain.start() + start, chain.start() + piece[-1], len(piece)
            start = piece[-1]


def _valid(text: str, start: int, end: int, regions: Sequence[str | None], most_tries: int) -> list[tuple[int, int]]:
    """Numbers that begin in `text[start:end]` and are valid in the first of `regions` that knows any."""
    offset = max(0, start - _CHARS_BEFORE)
    extension = _EXTENSION.match(text, end)
    excerpt = text[offset : (extension.end() if extension else end) + _CHARS_BEHIND]
    for region in regions:
        read = excerpt if region else _DIALLED.sub(" +", excerpt)
        leniency = Leniency.STRICT_GROUPING if region else Leniency.VALID
        found = [
            (_start(text, match.start + offset, match.end + offset), match.end + offset)
            for match in PhoneNumberMatcher(read, region, leniency, most_tries)
            if start <= match.start + offset < end
        ]
        if found:
            return found
    return []


def _start(text: str, start: int, end: int) -> int:
    """Where the number really begins: with both zeros of `00`, and without a bracket that does not close in it."""
    if start > 0 and text[start - 1 : start + 1] == "00":
        return start - 1
    number = text[start:end]
    return start + 1 if number.startswith("(") and number.count("(") > number.count(")") else start
