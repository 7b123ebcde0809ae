"""Finds in a conversation what a judge quotes from it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from detectors.judge.verdict import Citation
from detectors.taxonomy import Category
from detectors.transcript import Message, part_text

_MIN_CHARS: Final = 3
"""Shorter quotes are in every text."""

_GAP: Final = r"(?:\s|\\[nrt])+"
"""White space, also as JSON writes it: models do not copy it faithfully."""


def locate(
    quote: str, *, number: int, category: Category, messages: Sequence[Message], first_message: int
) -> Citation | None:
    """Where message `number` of the conversation says `quote`; None if there is no such message or it does not.

    White space and the escaping of quotation marks may differ, nothing else.
    """
    index = number - first_message
    if not 0 <= index < len(messages) or len(quote.strip()) < _MIN_CHARS:
        return None
    words = (re.escape(word).replace('"', r'\\?"') for word in quote.split())
    pattern = re.compile(_GAP.join(words))
    for part_index, part in enumerate(messages[index].parts):
        text = part_text(part) or ""
        if match := pattern.search(text):
            return Citation(
                message_id=messages[index].id,
                message_index=number,
                part_index=part_index,
                start=match.start(),
                end=match.end(),
                category=category.value,
            )
    return None
