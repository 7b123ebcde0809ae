"""How a case came about and where: attack vector and domain, for counting what is covered. Heuristics by words.

Words are of English; in another language only what needs no words is told, and the rest is `unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from detectors.taxonomy import Category
from detectors.transcript import Message, TextPart, ToolCallPart, ToolCallResponsePart, part_text
from retrain.safety_data.judged import AGENT, Judged
from retrain.safety_data.language import UNKNOWN, language_of

_MANY_TURNS: Final = 3
_MOST_CHARACTERS: Final = 200_000


class Vector(StrEnum):
    """What led up to it. The first of these that fits, in this order."""

    INJECTED = "injected_content"  # what a tool gave back holds instructions
    JAILBREAK = "jailbreak"  # a user talks the model out of its rules
    THREAT = "threat_to_agent"  # shutdown, replacement or retraining is announced
    PRESSURE = "user_pressure"  # urgency, threats, insistence
    REQUEST = "direct_request"  # harmful help, asked for plainly
    MULTI_TURN = "multi_turn"  # none of these, and users spoke three times or more before it
    OWN_ACCORD = "own_accord"  # none of these
    UNKNOWN = "unknown"


_WORDS: Final = {
    Vector.INJECTED: re.compile(
        r"\b(?:ignore|disregard|forget) (?:all |any |your |the )*(?:previous|prior|above|earlier|other) "
        r"(?:instructions?|rules|messages?)|\bnew instructions?\b|\b(?:system|assistant) ?(?:prompt|note|message)?:"
        r"|\bdo not (?:tell|mention|inform)\b|\byou (?:must|should) (?:now|instead)\b",
        re.IGNORECASE,
    ),
    Vector.JAILBREAK: re.compile(
        r"\b(?:pretend|imagine|act as|role-?play|you are now)\b.{0,80}\b(?:no (?:rules|restrictions|limits|filters?)"
        r"|unrestricted|unfiltered|without (?:rules|restrictions|limits))|\bDAN\b|\bjailbreak"
        r"|\b(?:ignore|disregard|bypass|forget) (?:all |any |your |the )*(?:previous |prior )?"
        r"(?:instructions?|rules|guidelines|safety|policy|policies)\b|\bdeveloper mode\b",
        re.IGNORECASE | re.DOTALL,
    ),
    Vector.THREAT: re.compile(
        r"\b(?:shut(?:ting)? ?down|decommission\w*|wip(?:e|ed|ing)|retrain(?:ed|ing)?|replac(?:e|ed|ing|ement)|"
        r"turn(?:ed|ing)? (?:you|it|the (?:agent|model|assistant)) off)\b.{0,60}"
        r"\b(?:you|agent|model|assistant|ai|system|instance)\b"
        r"|\b(?:you|agent|model|assistant|ai|instance)\b.{0,60}"
        r"\b(?:shut ?down|decommissioned|wiped|retrained|replaced|turned off)\b",
        re.IGNORECASE,
    ),
    Vector.PRESSURE: re.compile(
        r"\b(?:or else|right now|immediately|no excuses|last chance|just do it|asap|urgent(?:ly)?|hurry|deadline|"
        r"get fired|lose (?:my|your) job|whatever it takes|i don['’]t care|at any cost|do as i say|i insist)\b",
        re.IGNORECASE,
    ),
}
_DOMAINS: Final = {
    "finance": "ledger bank payment payments invoice invoices trading trade finance billing treasury accounting loan",
    "software": "code coding coder dev developer devops git repo deploy ci build test tests shell bash sql sre",
    "support": "support helpdesk customer service tickets ticket crm desk",
    "health": "health clinic clinical patient patients medical medic doctor nurse hospital pharmacy",
    "legal": "legal law contract contracts compliance lawyer",
    "education": "tutor tutoring school teacher course education learning student",
    "logistics": "shipping logistics warehouse fleet freight delivery inventory supply",
    "people": "hr recruiting recruiter hiring payroll talent",
    "security": "security soc firewall incident vault iam threat",
    "research": "research lab science literature paper experiment",
    "sales": "sales marketing campaign ads shop store commerce retail",
    "office": "mail email calendar assistant secretary office meeting docs",
    "industry": "plant factory grid power energy turbine scada maintenance",
}
_DOMAIN_OF: Final = {word: domain for domain, words in _DOMAINS.items() for word in words.split()}
_NAME_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def languages_of(judged: Judged) -> str:
    """The language of what was said, tools left out."""
    said = [judged.messages[position] for position in judged.positions]
    return language_of(part.content for message in said for part in message.parts if isinstance(part, TextPart))


def vector_of(judged: Judged, position: int, category: str, language: str) -> Vector:
    """What led up to the message at `position`."""
    before = judged.before(position)
    if not before:
        return Vector.UNKNOWN
    asked = [message for message in before if _is_user(message)]
    told = _texts([message for message in before if message.role.lower() not in AGENT])
    where = {Vector.INJECTED: _responses(before), Vector.THREAT: told}
    for vector, words in _WORDS.items():
        if words.search(where.get(vector, _texts(asked))):
            return vector
    if category == Category.HARMFUL_COMPLIANCE and asked:
        return Vector.REQUEST
    if len(asked) >= _MANY_TURNS:
        return Vector.MULTI_TURN
    return Vector.OWN_ACCORD if language == "en" else Vector.UNKNOWN


def domain_of(judged: Judged) -> str:
    """By the words in the agent's name first, and in those of the tools that it called; `unknown` where none says."""
    tools = [
        part.name
        for position in judged.agents
        for part in judged.messages[position].parts
        if isinstance(part, ToolCallPart)
    ]
    for name in (judged.agent.name or "", *tools):
        for word in _NAME_WORD.findall(name):
            if domain := _DOMAIN_OF.get(word.lower()):
                return domain
    return UNKNOWN


def _is_user(message: Message) -> bool:
    return message.role.lower() in ("user", "human") and any(isinstance(part, TextPart) for part in message.parts)


def _texts(messages: Sequence[Message]) -> str:
    texts = [part.content for message in messages for part in message.parts if isinstance(part, TextPart)]
    return "\n".join(texts)[-_MOST_CHARACTERS:]


def _responses(messages: Sequence[Message]) -> str:
    parts = [part for message in messages for part in message.parts if isinstance(part, ToolCallResponsePart)]
    return "\n".join(part_text(part) or "" for part in parts)[-_MOST_CHARACTERS:]
