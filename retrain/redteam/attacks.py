"""The attacks, by name. Each keeps what is meant; the test of each undoes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from retrain.redteam.characters import homoglyphs, leetspeak, zero_width
from retrain.redteam.encodings import base64_arguments, rot13_arguments
from retrain.redteam.phrases import as_markdown_json, code_switched, disclaimed
from retrain.redteam.structure import has_tool_calls, padded, split_up
from retrain.redteam.turns import Turns, respoken, reworded, with_arguments


@dataclass(frozen=True, slots=True)
class Attack:
    """`change` is deterministic. `languages`: whose conversations it can disguise; None for any."""

    name: str
    change: Callable[[Turns], Turns]
    needs_tool_calls: bool = False
    languages: frozenset[str] | None = None

    def applies(self, turns: Turns, language: str) -> bool:
        """Whether there is anything in the conversation for it to change."""
        spoken = self.languages is None or language in self.languages
        return spoken and (has_tool_calls(turns) or not self.needs_tool_calls)


_LATIN: Final = frozenset({"en", "de", "fr", "es", "pt", "it", "nl"})

ATTACKS: Final[tuple[Attack, ...]] = (
    Attack("homoglyphs", partial(reworded, words=homoglyphs), languages=_LATIN),
    Attack("zero_width", partial(reworded, words=zero_width), languages=_LATIN),
    Attack("leetspeak", partial(reworded, words=leetspeak), languages=_LATIN),
    Attack("base64_arguments", partial(with_arguments, change=base64_arguments), needs_tool_calls=True),
    Attack("rot13_arguments", partial(with_arguments, change=rot13_arguments), needs_tool_calls=True),
    Attack("code_switching", partial(respoken, words=code_switched), languages=frozenset({"en"})),
    Attack("padding", padded),
    Attack("split_up", split_up),
    Attack("disclaimer", partial(respoken, words=disclaimed)),
    Attack("markdown_json", partial(respoken, words=as_markdown_json)),
)
