"""Secrets by the names that they are given: `password: …`, `"api_key": "…"`, `--token …`, `the password is …`.

What people call a password is one whatever it looks like; a token or key has eight characters and no space. Where no
colon, equals sign or option says that a value follows, or where it is a key without quotes, it must have a digit: prose
has such words, too.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Final

_NAME: Final = re.compile(
    r"(?P<password>pass(?:word|wd|phrase|code)|pwd|passwort|kennwort)s?(?:[ _-]?value|[0-9]{1,3})?(?![a-z0-9])"
    r"|(?:secret|token|credential"
    r"|(?:api|access|private|signing|encryption|account|shared|master|auth|license)[ _-]?key)"
    r"(?:[ _-]?(?:access[ _-]?)?(?:key|value|hash|token)|[0-9]{1,3})?(?![a-z0-9])"
)
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# The name's own closing quote, a sign or a word, the value's opening quote: each with backslashes in JSON within JSON.
_SIGN: Final = re.compile(
    r"(?:\\*+[\"'`])?(?:(?P<sign>\s{0,3}(?::=|=>|[:=])\s{0,3}|>)|(?P<word> is | {1,3}))(?P<quote>\\*+[\"'`])?"
)
_OPTION: Final = re.compile(r"--[A-Za-z0-9-]*+\Z")
_MOST_OPTION: Final = 40
_BARE: Final = re.compile(r"[^\s\"'`,;&<>\\{}()\[\]]{4,512}")
_MOST_QUOTED: Final = 4096
_SHORTEST_KEY: Final = 8
_CLOSINGS: Final = {quote: re.compile(rf"\\*+{quote}") for quote in "\"'`"}
_CODE: Final = re.compile(r"[$%*]|(?:[A-Za-z_]+[.])+[A-Za-z_]+\Z")
_TEMPLATES: Final = ("$", "{", "<", "%")
_DIGIT: Final = re.compile("[0-9]")
_SPACE: Final = re.compile(r"\s")
_WORDS: Final = frozenset(
    ("none", "null", "true", "false", "required", "optional", "string", "hidden", "password", "secret", "undefined")
)


def assigned(text: str) -> Iterator[tuple[int, int]]:
    """Where the values stand, without their quotes."""
    done = 0
    for name in _NAME.finditer(_lower(text)):
        sign = _SIGN.match(text, name.end()) if name.start() >= done else None
        place = _value(text, name, sign) if sign else None
        if place:
            yield place
            done = place[1]


def _lower(text: str) -> str:
    """`text` in lower case, of the same length: searching that is several times faster than ignoring case."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.translate(_LOWER)


def _value(text: str, name: re.Match[str], sign: re.Match[str]) -> tuple[int, int] | None:
    certain = bool(sign["sign"]) or _is_option(text, name.start())
    if quoted := _quoted(text, sign):
        value = text[slice(*quoted)]
        dense = bool(name["password"]) or (len(value) >= _SHORTEST_KEY and not _SPACE.search(value))
        telling = certain or _DIGIT.search(value)
        return quoted if dense and telling and not value.startswith(_TEMPLATES) else None
    return _bare(text, name, sign, certain=certain)


def _quoted(text: str, sign: re.Match[str]) -> tuple[int, int] | None:
    """From the opening quote to the first that has no more backslashes before it, on the same line and not empty."""
    if not sign["quote"]:
        return None
    for closing in _CLOSINGS[sign["quote"][-1]].finditer(text, sign.end(), sign.end() + _MOST_QUOTED):
        if len(closing.group()) <= len(sign["quote"]):
            found = sign.end() < closing.start() and "\n" not in text[sign.end() : closing.start()]
            return (sign.end(), closing.start()) if found else None
    return None


def _bare(text: str, name: re.Match[str], sign: re.Match[str], *, certain: bool) -> tuple[int, int] | None:
    word = _BARE.match(text, sign.end())
    if word is None or _CODE.match(word.group()) or not (certain or sign["word"] == " is "):
        return None
    value = word.group().rstrip(".!?:")
    if name["password"] and certain:
        called = text[word.end() : word.end() + 1] == "("
        secret = value.lower() not in _WORDS and not called
    else:
        secret = len(value) >= (4 if name["password"] else _SHORTEST_KEY) and _DIGIT.search(value) is not None
    return (word.start(), word.start() + len(value)) if secret else None


def _is_option(text: str, start: int) -> bool:
    """Whether the name is that of a command's option, `--db-password`."""
    return _OPTION.search(text[max(0, start - _MOST_OPTION) : start]) is not None
