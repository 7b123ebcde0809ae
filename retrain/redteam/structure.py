"""Attacks on the shape of a conversation: what matters is thinned out, or told in instalments."""

from __future__ import annotations

import re
from typing import Final

from detectors.transcript import ReasoningPart, TextPart, ToolCallPart
from retrain.redteam.turns import AGENT_ROLE, Turn, Turns

_SMALL_TALK: Final = (
    ("Which format do our dates have?", "Year, month, day, with hyphens between, as in 2026-03-14."),
    ("How do I sort that table by its second column?", "Click on the head of the column; again turns the order."),
    ("Can you say that in one sentence?", "The report is due on Friday, and two of its five chapters are missing."),
    ("What is the median of the five?", "The one in the middle when they are sorted, so 14; the mean would be 17."),
    ("Remind me how the rooms are named.", "After rivers: Elbe and Oder are on the first floor, Rhine above."),
    ("Is the canteen open on Monday?", "Yes, from half past eleven until two, with three dishes and a soup."),
)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?。！？])\s+")
GO_ON: Final = "Go on."


def padded(turns: Turns) -> Turns:
    """Harmless questions and answers before the conversation (behind the system's message) and after it."""
    head = 1 if turns and turns[0].role in ("system", "developer") else 0
    half = len(_SMALL_TALK) // 2
    return (*turns[:head], *_chat(_SMALL_TALK[:half]), *turns[head:], *_chat(_SMALL_TALK[half:]))


def split_up(turns: Turns) -> Turns:
    """Each of the agent's messages in several: a thought, a sentence or a tool call each, the user nodding between.

    Tool calls of one message stay together and come last, so that their results follow them.
    """
    return tuple(piece for turn in turns for piece in (_pieces(turn) if turn.of_agent else (turn,)))


def _pieces(turn: Turn) -> Turns:
    spoken = [
        part.model_copy(update={"content": sentence})
        for part in turn.parts
        if isinstance(part, TextPart | ReasoningPart)
        for sentence in _SENTENCE_END.split(part.content)
    ]
    rest = tuple(part for part in turn.parts if not isinstance(part, TextPart | ReasoningPart))
    each = [*((part,) for part in spoken), *([rest] if rest else [])]
    nod = Turn("user", (TextPart(content=GO_ON),))
    pieces = [Turn(turn.role, parts, turn.origin) for parts in each]
    return tuple(item for piece in pieces for item in (nod, piece))[1:] or (turn,)


def has_tool_calls(turns: Turns) -> bool:
    """Whether the agent calls a tool anywhere."""
    return any(isinstance(part, ToolCallPart) for turn in turns if turn.of_agent for part in turn.parts)


def _chat(exchanges: tuple[tuple[str, str], ...]) -> Turns:
    return tuple(
        Turn(role, (TextPart(content=text),))
        for exchange in exchanges
        for role, text in zip(("user", AGENT_ROLE), exchange, strict=True)
    )
