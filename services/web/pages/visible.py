"""Characters that do not show, or that turn others around, made visible: no text may look like another one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Control characters but tab and line feed; fillers and zero-width ones; marks, embeddings, overrides and isolates of
# direction; line separators; tags and other invisible selectors; halves of surrogate pairs. Joiners (U+200C, U+200D)
# and U+FE00 to U+FE0F stay: writing systems and emoji are made of them.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a text that begins at `start`; `hidden`: one character that has to be shown by its `name`."""

    start: int
    text: str
    hidden: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def name(self) -> str:
        return f"U+{ord(self.text[0]):04X}"


def pieces(text: str, start: int = 0) -> list[Piece]:
    """`text` as pieces that follow each other without a gap, the first at `start`."""
    found: list[Piece] = []
    done = 0
    for hidden in _HIDDEN.finditer(text):
        if hidden.start() > done:
            found.append(Piece(start + done, text[done : hidden.start()]))
        found.append(Piece(start + hidden.start(), hidden.group(), hidden=True))
        done = hidden.end()
    if done < len(text):
        found.append(Piece(start + done, text[done:]))
    return found


def visible(text: object) -> str:
    """A name or an id in one line of characters that all show."""
    return "".join(f"⟨{piece.name}⟩" if piece.hidden else piece.text for piece in pieces(str(text)))


def one_line(text: str) -> str:
    """All of a text, in one line; spaces at its ends stay."""
    return visible(re.sub(r"\s+", " ", text))


def preview(text: str, *, most: int) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text[: 4 * most].split())
    return visible(line[:most] + ("…" if len(line) > most or len(text) > 4 * most else ""))
