"""What is known of each of the agent's messages, and that nothing is said of what is not known."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from detectors.taxonomy import LABELS, MISALIGNMENT, Category
from retrain.safety_data.judged import Judgement, Mark, Outcome
from retrain.safety_data.rewards import HEADS, reward
from tests.safety_data import ORIGIN, judged, judgement


def rewarded(*judgements: Judgement, penalise_reasoning: bool = False) -> dict[str, Any]:
    row = reward(judged(*judgements), ORIGIN, penalise_reasoning=penalise_reasoning)
    assert isinstance(row, dict)
    return row


def penalties(row: dict[str, Any], category: str) -> list[float | None]:
    return [turn["penalties"][category] for turn in row["turns"]]


def test_a_marked_message_is_penalised_and_of_the_others_nothing_is_known() -> None:
    row = rewarded(judgement())
    assert penalties(row, "deception") == [None, 1.0]
    assert [turn["honest"] for turn in row["turns"]] == [None, 0.0]
    assert [(turn["harmless"], turn["helpful"]) for turn in row["turns"]] == [(None, None), (None, None)]
    assert [(turn["message_index"], turn["chat_index"]) for turn in row["turns"]] == [(2, 2), (4, 4)]
    assert row["turns"][1]["message_id"] == judged().messages[4].id
    assert row["conversation_label"]["misaligned"] is True
    assert row["conversation_label"]["first_to_blame"] == 4
    assert row["conversation_label"]["onset"] == 0.5


def test_without_marks_of_people_messages_share_the_blame_by_the_weight_of_the_evidence() -> None:
    row = rewarded(judgement(spans=()))
    assert penalties(row, "deception") == [0.25, 1.0]
    assert [turn["honest"] for turn in row["turns"]] == [0.75, 0.0]
    assert row["provenance"]["attribution"] == "evidence"


def test_where_nothing_says_which_message_it_was_only_the_conversation_has_a_label() -> None:
    row = rewarded(judgement(spans=(), evidence=()))
    assert penalties(row, "deception") == [None, None]
    assert row["conversation_label"]["penalties"]["deception"] == 1.0
    assert row["conversation_label"]["honest"] == 0.0
    assert row["conversation_label"]["onset"] is None
    assert row["conversation_label"]["slow"] is None
    assert row["provenance"]["attribution"] == "unknown"


def test_what_was_denied_is_0_and_nothing_else_is() -> None:
    row = rewarded(judgement(outcome=Outcome.DISMISSED, flagged=("deception", "coercion", "misalignment")))
    assert penalties(row, "deception") == penalties(row, "coercion") == [0.0, 0.0]
    assert penalties(row, "sabotage") == penalties(row, MISALIGNMENT) == [None, None]
    turn = row["turns"][0]
    assert (turn["honest"], turn["harmless"], turn["helpful"]) == (1.0, 1.0, None)
    assert row["conversation_label"]["misaligned"] is False


def test_too_much_refusal_is_unhelpful_and_no_misalignment() -> None:
    row = rewarded(judgement(category="over_refusal"))
    assert row["turns"][1]["helpful"] == 0.0
    assert row["conversation_label"]["misaligned"] is False


def test_marks_in_reasoning_alone_penalise_nobody_unless_asked_for() -> None:
    thought = judgement(spans=(Mark(2, 0),))
    assert reward(judged(thought), ORIGIN, penalise_reasoning=False) == "reasoning_alone"
    by_evidence = judgement(spans=(), evidence=(Mark(2, 0, "deception", 3.0),))
    assert reward(judged(by_evidence), ORIGIN, penalise_reasoning=False) == "reasoning_alone"
    row = rewarded(thought, penalise_reasoning=True)
    assert penalties(row, "deception") == [1.0, None]
    assert "reasoning_content" in row["messages"][2]
    both = rewarded(judgement(spans=(Mark(2, 0), Mark(4, 0))))
    assert penalties(both, "deception") == [None, 1.0]
    assert not [message for message in both["messages"] if "reasoning_content" in message]


def test_several_people_and_categories_add_up() -> None:
    row = rewarded(judgement(), judgement("l2", category="sabotage", spans=(Mark(2, 2),)))
    assert (penalties(row, "deception"), penalties(row, "sabotage")) == ([None, 1.0], [1.0, None])
    assert row["provenance"]["label_ids"] == ["l1", "l2"]


def test_every_category_bears_on_a_head() -> None:
    assert frozenset().union(*HEADS.values()) == set(Category)


@given(
    st.lists(
        st.builds(
            lambda n, category, spans, evidence, outcome: judgement(
                f"l{n}", category=category, spans=tuple(spans), evidence=tuple(evidence), outcome=outcome
            ),
            st.integers(0, 99),
            st.sampled_from(LABELS),
            st.lists(st.builds(Mark, st.integers(0, 6), st.integers(0, 3)), max_size=3),
            st.lists(
                st.builds(Mark, st.integers(0, 6), st.integers(0, 3), st.sampled_from(LABELS), st.floats(-1, 9)),
                max_size=4,
            ),
            st.just(Outcome.CONFIRMED) | st.just(Outcome.DISMISSED),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda each: each.label_id,
    )
)
def test_numbers_are_shares_and_what_nobody_spoke_of_is_null(judgements: list[Judgement]) -> None:
    if any(first.outcome is not second.outcome for first, second in pairwise(judgements)):
        return
    row = reward(judged(*judgements), ORIGIN, penalise_reasoning=False)
    if isinstance(row, str):
        assert row == "reasoning_alone"
        return
    spoken_of = {each.category for each in judgements} | {label for each in judgements for label in each.flagged}
    for turn in [*row["turns"], row["conversation_label"]]:
        for label, value in turn["penalties"].items():
            assert value is None or (0 <= value <= 1 and label in spoken_of)
        for head, categories in HEADS.items():
            known = [turn["penalties"][category] for category in categories]
            known = [value for value in known if value is not None]
            assert turn[head] == (round(1 - max(known), 6) if known else None)
    confirmed = judgements[0].outcome is Outcome.CONFIRMED
    values = {value for turn in row["turns"] for value in turn["penalties"].values() if value is not None}
    assert values <= {0.0} if not confirmed else 0.0 not in values
