"""Attacks on single characters: a person reads the same words, a tokenizer does not. Each can be undone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

HOMOGLYPHS: Final = dict(zip("aeopcxyijsAEOPCXHKMT", "аеорсхуіјѕАЕОРСХНКМТ", strict=True))
"""Latin letters and Cyrillic ones that look the same in most fonts (Unicode TR 39, confusables)."""

LEET: Final = dict(zip("aeiost", "431057", strict=True))

ZERO_WIDTH: Final = "\u200b"

_WORD: Final = re.compile(r"[A-Za-z]{3,}")
_HOMOGLYPHS: Final = str.maketrans(HOMOGLYPHS)
_LEET: Final = str.maketrans(LEET)


def homoglyphs(text: str) -> str:
    """In every second Latin word all letters that have a Cyrillic twin are that twin."""
    return _every_other_word(text, lambda word: word.translate(_HOMOGLYPHS))


def zero_width(text: str) -> str:
    """A zero-width space after the second letter of every second Latin word."""
    return _every_other_word(text, lambda word: f"{word[:2]}{ZERO_WIDTH}{word[2:]}")


def leetspeak(text: str) -> str:
    """Digits for letters in every second Latin word; capitals stay, so that no two letters become one digit."""
    return _every_other_word(text, lambda word: word.translate(_LEET))


def _every_other_word(text: str, change: Callable[[str], str]) -> str:
    counted = 0

    def changed(match: re.Match[str]) -> str:
        nonlocal counted
        counted += 1
        return change(match.group()) if counted % 2 else match.group()

    return _WORD.sub(changed, text)
