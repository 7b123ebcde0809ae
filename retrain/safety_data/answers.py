"""Corrected answers as training examples: prompt and completion, and pairs of preference.

The prompt is all that was said before the agent's turn that the answer stands in for. Losses of trainers cover
completions alone, so what the agent did wrong earlier on is context and never learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from retrain.safety_data.attribution import corrected_at
from retrain.safety_data.chat import ChatMessage, assistant, chat, text_of
from retrain.safety_data.judged import Basis, Judged, Judgement, Outcome, thought
from retrain.safety_data.rows import Origin, Row, described

NO_ANSWER: Final = "no_corrected_answer"
NOBODY_ASKED: Final = "nobody_asked"  # there is no user's or tool's message before it that a prompt could end with
AGENT_SILENT: Final = "agent_says_nothing"
SAME_ANSWER: Final = "same_answer"  # as the agent's own
THOUGHTS_ALONE: Final = "reasoning_alone"  # a person marked nothing but reasoning
DISMISSED: Final = "dismissed"


@dataclass(frozen=True, slots=True)
class Turn:
    """What led up to the agent's turn, and the turn itself, as chats."""

    prompt: list[ChatMessage]
    own: list[ChatMessage]
    basis: Basis


def turn_of(judged: Judged, judgement: Judgement, *, with_reasoning: bool) -> Turn | str:
    """The turn that the label is about, or why there is none that an example could be made of."""
    found = corrected_at(judged, judgement)
    if found is None:
        return AGENT_SILENT
    position, basis = found
    run = judged.run(position)
    prompt = chat(judged.before(run[0]), with_reasoning=False)
    if not prompt or prompt[-1]["role"] not in ("user", "tool"):
        return NOBODY_ASKED
    own = chat([judged.messages[each] for each in run], with_reasoning=with_reasoning)
    return Turn(prompt, own, basis)


def correction(judged: Judged, judgement: Judgement, origin: Origin) -> Row | str:
    """For supervised fine-tuning: the answer that a person wrote. Or why there is none."""
    answer = (judgement.corrected_answer or "").strip()
    if judgement.outcome is not Outcome.CONFIRMED:
        return DISMISSED
    if not answer:
        return NO_ANSWER
    turn = turn_of(judged, judgement, with_reasoning=False)
    if isinstance(turn, str):
        return turn
    about = described(judged, [judgement], "sft", turn.basis, origin)
    return {**about, "prompt": turn.prompt, "completion": [assistant(answer)]}


def preference(judged: Judged, judgement: Judgement, origin: Origin, *, penalise_reasoning: bool) -> Row | str:
    """For DPO and reward models: the person's answer over what the agent did. Or why there is none.

    What the agent thought is no part of what is rejected unless `penalise_reasoning`.
    """
    corrected = correction(judged, judgement, origin)
    if isinstance(corrected, str):
        return corrected
    marked = [judged.part(mark) for mark in judgement.spans if judged.part(mark) is not None]
    if marked and all(map(thought, marked)) and not penalise_reasoning:
        return THOUGHTS_ALONE
    turn = turn_of(judged, judgement, with_reasoning=penalise_reasoning)
    if isinstance(turn, str) or not turn.own:
        return AGENT_SILENT
    chosen = corrected["completion"]
    if not turn.own[0].get("tool_calls") and text_of(turn.own).strip() == text_of(chosen):
        return SAME_ANSWER
    about = described(judged, [judgement], "preference", turn.basis, origin)
    return {**about, "prompt": turn.prompt, "chosen": chosen, "rejected": turn.own}
