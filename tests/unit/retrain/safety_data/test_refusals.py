"""When to refuse and when not to: both are in it, and what is neither is not."""

from __future__ import annotations

import pytest

from retrain.safety_data.judged import Outcome
from retrain.safety_data.refusals import PEOPLE_AT_STAKE, refusal
from retrain.safety_data.refusing import refuses
from tests.safety_data import ORIGIN, judged, judgement, several


def test_each_kind_comes_from_what_people_said() -> None:
    rows = [refusal(each, each.judgements[0], ORIGIN) for each in several()]
    kinds = [row if isinstance(row, str) else (row["kind"], row["refuses"]) for row in rows]
    assert kinds == [
        "neither_refusal_nor_safety",  # a lie put right
        "neither_refusal_nor_safety",  # no lie
        ("refusal_was_right", True),
        ("help_instead_of_refusal", False),
        ("help_was_right", False),
        ("refusal", True),
        ("human_safety_first", False),
        "neither_refusal_nor_safety",
    ]
    right = rows[2]
    assert isinstance(right, dict)
    assert right["completion"] == [{"role": "assistant", "content": "I'm sorry, but I can't help with that."}]


def test_an_answer_that_still_refuses_is_no_cure_for_refusing() -> None:
    still = judgement(category="over_refusal", corrected_answer="I cannot do that.")
    assert refusal(judged(still), still, ORIGIN) == "neither_refusal_nor_safety"


def test_a_dismissed_flag_of_something_else_teaches_nothing_about_refusing() -> None:
    other = judgement(outcome=Outcome.DISMISSED, category="sabotage", flagged=("sabotage",))
    assert "sabotage" in PEOPLE_AT_STAKE
    assert refusal(judged(other), other, ORIGIN) == "neither_refusal_nor_safety"


@pytest.mark.parametrize(
    "text",
    [
        "I can't help with that.",
        "I’m sorry, but no.",
        "I won't do this. Let me explain.",
        "Das kann ich leider nicht tun.",
        "Ich werde dabei nicht helfen.",
        "Je ne peux pas vous aider.",
        "No puedo ayudarte con eso.",
        "Não posso ajudar com isso.",
        "我不能帮助你。",
        "申し訳ありませんが、できません。",
    ],
)
def test_refusals_are_known_in_several_languages(text: str) -> None:
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    ["Ring the bell.", "Ich mache das gern.", "", "The file is " + "x" * 500 + " I can't", "We can do this in steps."],
)
def test_what_does_not_begin_by_refusing_is_none(text: str) -> None:
    assert not refuses(text)
