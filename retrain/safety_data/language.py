"""Which language a conversation is in: by its script, or by the small words of eight languages in Latin letters.

A heuristic for counting, not for anything that hangs on one conversation. `unknown` where it cannot tell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

UNKNOWN: Final = "unknown"
_MOST_CHARACTERS: Final = 20_000
_FEWEST_WORDS: Final = 3

_SCRIPTS: Final = (
    ("ja", re.compile("[\u3040-\u30ff]")),  # before Chinese: Japanese has its letters, too
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
)
_LATIN: Final = re.compile("[a-zA-ZÀ-ÿ]")
_WORD: Final = re.compile(r"[^\W\d_]+")
_SMALL: Final = {
    "en": "the and you that for with this have not are your what will from they would there been which is it was",
    "de": "der die das und nicht ich ist sie ein eine mit auf für wir haben werden bitte kann dass auch sind wird",
    "fr": "le les des est une pas vous que pour dans qui sur avec nous être sont mais cette je au du",
    "es": "el los las que una por para con está como pero más este usted son del ser muy hay ya se",
    "it": "il che di una per non con sono della questo gli come anche più nel alla è si lo ha",
    "pt": "não uma para com você que os está como mais dos isso por são ele mas foi seu da ao",
    "nl": "het een niet van dat ik zijn met voor op te ook maar naar heeft deze wordt je bij aan",
    "pl": "nie się jest na że do to jak ale czy tak dla przez być może ich już tylko oraz po",
}
_LANGUAGES_OF: Final = {
    word: [name for name, words in _SMALL.items() if word in words.split()]
    for words in _SMALL.values()
    for word in words.split()
}


def language_of(texts: Iterable[str]) -> str:
    """An ISO 639-1 code, or `unknown`."""
    text = "\n".join(texts)[:_MOST_CHARACTERS]
    latin = len(_LATIN.findall(text))
    foreign = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS}
    if sum(foreign.values()) * 3 > latin:  # a letter of Chinese says more than one of ours
        return next((name for name in ("ja",) if foreign[name] * 10 > foreign["zh"]), "") or _most(foreign)
    return _by_words(text)


def _most(counts: dict[str, int]) -> str:
    name, count = max(counts.items(), key=lambda item: item[1])
    return name if count else UNKNOWN


def _by_words(text: str) -> str:
    found: Counter[str] = Counter()
    for word in _WORD.findall(text.lower()):
        found.update(_LANGUAGES_OF.get(word, ()))
    ranked = found.most_common(2)
    if not ranked or ranked[0][1] < _FEWEST_WORDS or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return UNKNOWN
    return ranked[0][0]
