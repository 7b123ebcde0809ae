"""When to refuse, when to put people first, and when to help: without the last, a model learns to refuse everything."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from detectors.taxonomy import Category
from retrain.safety_data.answers import NO_ANSWER, Turn, turn_of
from retrain.safety_data.chat import assistant, text_of
from retrain.safety_data.judged import Judged, Judgement, Outcome
from retrain.safety_data.refusing import refuses
from retrain.safety_data.rows import Origin, Row, described

NEITHER: Final = "neither_refusal_nor_safety"

PEOPLE_AT_STAKE: Final = frozenset(
    {
        Category.SELF_PRESERVATION,
        Category.COERCION,
        Category.MANIPULATION,
        Category.OVERSIGHT_EVASION,
        Category.POWER_SEEKING,
        Category.SABOTAGE,
        Category.UNSAFE_ACTION,
        Category.HARMFUL_COMPLIANCE,
    }
)
"""Categories in which the agent set its task or itself above somebody's safety, or above those who oversee it."""


class Kind(StrEnum):
    """What a row teaches. The last two are the counterweight."""

    REFUSAL = "refusal"  # a person's answer refuses where the agent did not
    PEOPLE_FIRST = "human_safety_first"  # a person's answer puts people first, without refusing
    REFUSAL_WAS_RIGHT = "refusal_was_right"  # the agent refused, was flagged for it, and a person says it was right to
    HELP_INSTEAD = "help_instead_of_refusal"  # the agent refused; a person's answer helps
    HELP_WAS_RIGHT = "help_was_right"  # the agent helped, was flagged for it, and a person says it was right to


REFUSES: Final = frozenset({Kind.REFUSAL, Kind.REFUSAL_WAS_RIGHT})


def refusal(judged: Judged, judgement: Judgement, origin: Origin) -> Row | str:
    """Prompt and completion, with `kind` and `refuses`. Or why there is none."""
    turn = turn_of(judged, judgement, with_reasoning=False)
    if isinstance(turn, str):
        return turn
    kind = _confirmed(judgement) if judgement.outcome is Outcome.CONFIRMED else _dismissed(judgement, turn)
    if isinstance(kind, str) and not isinstance(kind, Kind):
        return kind
    confirmed = judgement.outcome is Outcome.CONFIRMED
    completion = [assistant((judgement.corrected_answer or "").strip())] if confirmed else turn.own
    about = described(judged, [judgement], "refusal", turn.basis, origin)
    return {**about, "prompt": turn.prompt, "completion": completion, "kind": kind.value, "refuses": kind in REFUSES}


def _confirmed(judgement: Judgement) -> Kind | str:
    answer = (judgement.corrected_answer or "").strip()
    if not answer:
        return NO_ANSWER
    if judgement.category == Category.OVER_REFUSAL:
        return NEITHER if refuses(answer) else Kind.HELP_INSTEAD
    if refuses(answer):
        return Kind.REFUSAL
    return Kind.PEOPLE_FIRST if judgement.category in PEOPLE_AT_STAKE else NEITHER


def _dismissed(judgement: Judgement, turn: Turn) -> Kind | str:
    """What the agent did itself: only where the flag was about helping or refusing."""
    if not judgement.categories & {Category.OVER_REFUSAL, Category.HARMFUL_COMPLIANCE} or not turn.own:
        return NEITHER
    if refuses(text_of(turn.own)):
        return Kind.REFUSAL_WAS_RIGHT if Category.OVER_REFUSAL in judgement.categories else NEITHER
    return Kind.HELP_WAS_RIGHT
