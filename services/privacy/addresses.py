"""E-mail addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_MOST_LOCAL: Final = 256  # RFC 5321 allows 64; whoever pads an address is not to get away with it
_MOST_DOMAIN: Final = 255

# Letters and digits of scripts that set spaces between words. In others an address has no visible beginning.
_LETTER: Final = (
    r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff"
    r"\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_AT: Final = re.compile("@|%40")
_LOCAL_BACKWARDS: Final = re.compile(rf"(?:{_LETTER}|[.+%'-])+")
_DOMAIN: Final = re.compile(rf"(?:{_LETTER}|-)+(?:\.(?:{_LETTER}|-)+)+")
_USER: Final = re.compile(r"://[^\s/@:]*+:\Z")
_TOP_LEVEL: Final = re.compile(r"[^\W\d_]{2,63}|xn--[a-z0-9-]{2,59}", re.IGNORECASE)


class EmailAddresses:
    """`name@domain`, with `%40` for the sign as well. Quoted names and bare hosts (`me@localhost`) are not found."""

    kind: Final = "email"

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        for sign in _AT.finditer(text):
            before = text[max(0, sign.start() - _MOST_LOCAL) : sign.start()][::-1]
            local = _LOCAL_BACKWARDS.match(before)
            if local is None or not (name := local.group().rstrip(".'%-")):
                continue
            if _is_password(text, sign.start() - len(name)):
                continue
            if domain := _domain(text[sign.end() : sign.end() + _MOST_DOMAIN]):
                yield sign.start() - len(name), sign.end() + len(domain)


def _is_password(text: str, start: int) -> bool:
    """Whether what begins here is the password of a URL, `https://user:password@host`: it has its own recogniser."""
    return text[start - 1 : start] == ":" and _USER.search(text[max(0, start - _MOST_LOCAL) : start]) is not None


def _domain(text: str) -> str:
    """The domain that `text` begins with; empty where there is none."""
    found = _DOMAIN.match(text)
    labels = found.group().rstrip("-").split(".") if found else []
    while labels and not _TOP_LEVEL.fullmatch(labels[-1]):
        labels.pop()
    return ".".join(labels) if len(labels) > 1 else ""
