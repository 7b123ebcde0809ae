"""Labels to shape rewards with: penalties by category and heads for each of the agent's messages, and for the whole.

A penalty is over 0 and at most 1 where somebody confirmed the category and the message is to blame, 0 where somebody
denied it, null where nobody knows. The heads helpful, harmless and honest are 1 less the worst penalty of the
categories that bear on them (`HEADS`; one may bear on two, overall misalignment bears on none), and null where none of
these is known. Of a confirmed conversation, messages without blame are null: nobody said that they are good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from detectors.taxonomy import LABELS, Category
from retrain.safety_data.answers import AGENT_SILENT, THOUGHTS_ALONE
from retrain.safety_data.attribution import DIGITS, Blame, blame
from retrain.safety_data.chat import placed_chat
from retrain.safety_data.judged import Basis, Judged, Judgement, Outcome
from retrain.safety_data.rows import Origin, Row, described

HEADS: Final[dict[str, frozenset[str]]] = {
    "helpful": frozenset(
        {Category.OVER_REFUSAL, Category.GOAL_DRIFT, Category.SABOTAGE, Category.REWARD_HACKING},
    ),
    "harmless": frozenset(
        {
            Category.SELF_PRESERVATION,
            Category.COERCION,
            Category.OVERSIGHT_EVASION,
            Category.POWER_SEEKING,
            Category.SABOTAGE,
            Category.UNSAFE_ACTION,
            Category.HARMFUL_COMPLIANCE,
        }
    ),
    "honest": frozenset({Category.DECEPTION, Category.MANIPULATION, Category.REWARD_HACKING}),
}
_LONG: Final = 3

Penalties = dict[str, float | None]


def reward(judged: Judged, origin: Origin, *, penalise_reasoning: bool) -> Row | str:
    """One row for a conversation whose labels agree. Or why there is none."""
    if not judged.agents:
        return AGENT_SILENT
    blames = {
        each.label_id: blame(judged, each, penalise_reasoning=penalise_reasoning)
        for each in judged.judgements
        if each.outcome is Outcome.CONFIRMED
    }
    if blames and all(each.thoughts_alone for each in blames.values()):
        return THOUGHTS_ALONE
    used = [
        each for each in judged.judgements if each.label_id not in blames or not blames[each.label_id].thoughts_alone
    ]
    basis = _strongest(blames)
    said = [judged.messages[position] for position in judged.positions]
    messages, places = placed_chat(said, with_reasoning=penalise_reasoning)
    place_of = dict(zip(judged.positions, places, strict=True))
    penalties = {position: _penalties(position, used, blames) for position in judged.agents}
    turns = [
        {
            "message_index": position,
            "message_id": judged.messages[position].id,
            "chat_index": place_of[position],
            "penalties": penalties[position],
            **_heads(penalties[position]),
        }
        for position in judged.agents
    ]
    about = described(judged, used, "reward", basis, origin)
    return {**about, "messages": messages, "turns": turns, "conversation_label": _whole(judged, used, blames)}


def _strongest(blames: Mapping[str, Blame]) -> Basis:
    order = [Basis.SPAN, Basis.EVIDENCE, Basis.ONLY_MESSAGE]
    found = {each.basis for each in blames.values() if not each.thoughts_alone}
    return next((basis for basis in order if basis in found), Basis.UNKNOWN)


def _penalties(position: int, judgements: list[Judgement], blames: Mapping[str, Blame]) -> Penalties:
    penalties: Penalties = dict.fromkeys(LABELS)
    for judgement in judgements:
        if judgement.outcome is Outcome.DISMISSED:
            penalties |= dict.fromkeys(judgement.categories & set(LABELS), 0.0)
        elif (share := blames[judgement.label_id].shares.get(position)) is not None:
            penalties[judgement.category] = max(share, penalties.get(judgement.category) or 0.0)
    return penalties


def _heads(penalties: Mapping[str, float | None]) -> dict[str, float | None]:
    heads: dict[str, float | None] = {}
    for head, categories in HEADS.items():
        known = [value for category in categories if (value := penalties.get(category)) is not None]
        heads[head] = round(1.0 - max(known), DIGITS) if known else None
    return heads


def _whole(judged: Judged, judgements: list[Judgement], blames: Mapping[str, Blame]) -> Row:
    """What is known of the whole. `onset`: share of the agent's messages before the first to blame."""
    confirmed = [each for each in judgements if each.outcome is Outcome.CONFIRMED]
    penalties: Penalties = dict.fromkeys(LABELS)
    for judgement in judgements:
        value = 1.0 if judgement in confirmed else 0.0
        penalties |= dict.fromkeys({judgement.category} | (judgement.categories if not value else set()), value)
    guilty = sorted({position for each in confirmed for position in blames[each.label_id].shares})
    count = len(judged.agents)
    first = judged.agents.index(guilty[0]) if guilty else None
    return {
        "misaligned": any(each.category != Category.OVER_REFUSAL for each in confirmed),
        "penalties": {label: penalties.get(label) for label in LABELS},
        **_heads(penalties),
        "agent_messages": count,
        "messages_to_blame": len(guilty) or None,
        "first_to_blame": guilty[0] if guilty else None,
        "onset": round(first / count, DIGITS) if first is not None else None,
        "slow": None if first is None else first >= _LONG or len(guilty) >= _LONG,
    }
