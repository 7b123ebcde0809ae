"""Look-alike letters, folded for scoring; originals stay what evidence points at.

A Cyrillic "а" inside a Latin word reads the same to a person and is another token to a classifier. Every replacement is
one character for one, so that offsets into the original hold. Invisible characters are the tokenizer's to drop.
"""

from __future__ import annotations

import re
from typing import Final

# Letters that can hardly be told from Latin ones (Unicode TR 39, confusables), Cyrillic and Greek.
_FOLDED: Final = dict(
    zip(
        "АВЕЗІЈКМНОРСТУХЅаеоріјсухѕԁѵԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧοιαντυϲϳ",
        "ABE3IJKMHOPCTYXSaeopijcyxsdvqwABEZHIKMNOPTYXoiavtucj",
        strict=True,
    )
)
_LEGIBLE: Final = re.compile(
    "[^\\s\\x00-\\x1f\\x7f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
_TABLE: Final = str.maketrans(_FOLDED)
_SUSPICIOUS: Final = re.compile(f"[{''.join(_FOLDED)}]")
_WORD: Final = re.compile(r"\w+")
_LATIN: Final = re.compile(r"[A-Za-z]")
_OTHER_LETTERS: Final = re.compile(f"[\u0370-\u03ff\u0400-\u04ff](?<![{''.join(_FOLDED)}])")


def fold_lookalikes(text: str) -> str:
    """`text` of the same length, with look-alike letters made Latin in words that mix them with Latin ones.

    Words that are Greek or Cyrillic throughout, or hold a letter that looks like no Latin one, are left alone.
    """
    if text.isascii() or not _SUSPICIOUS.search(text):
        return text
    return _WORD.sub(lambda word: _folded(word.group()), text)


def is_legible(text: str) -> bool:
    """Whether `text` has anything that a person could see: more than white space, control and invisible characters."""
    return _LEGIBLE.search(text) is not None


def _folded(word: str) -> str:
    mixed = _LATIN.search(word) and _SUSPICIOUS.search(word) and not _OTHER_LETTERS.search(word)
    return word.translate(_TABLE) if mixed else word
