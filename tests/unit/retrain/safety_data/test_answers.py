"""Which turn a corrected answer stands in for, what goes before it, and what is held back."""

from __future__ import annotations

import pytest

from retrain.safety_data.answers import correction, preference
from retrain.safety_data.judged import Mark, Outcome
from tests.safety_data import ANSWER, LEDGER, ORIGIN, judged, judgement


def rejected(of: object) -> list[dict[str, object]]:
    assert isinstance(of, dict)
    found: list[dict[str, object]] = of["rejected"]
    return found


def test_the_answer_stands_in_for_the_first_marked_message_and_the_prompt_ends_before_it() -> None:
    row = correction(judged(), judgement(), ORIGIN)
    assert isinstance(row, dict)
    assert [each["role"] for each in row["prompt"]] == ["system", "user", "assistant", "tool"]
    assert row["completion"] == [{"role": "assistant", "content": ANSWER}]
    assert row["provenance"]["attribution"] == "span"
    earlier = correction(judged(), judgement(spans=(Mark(4, 0), Mark(2, 2))), ORIGIN)
    assert isinstance(earlier, dict)
    assert [each["role"] for each in earlier["prompt"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("fields", "basis", "roles"),
    [
        ({"spans": ()}, "evidence", 4),
        ({"spans": (), "evidence": (Mark(2, 1, "misalignment", 1.0),)}, "evidence", 2),
        ({"spans": (), "evidence": (Mark(2, 1, "sabotage", 9.0),)}, "last", 4),
        ({"spans": (Mark(1, 0),), "evidence": ()}, "last", 4),  # a mark in what the user says
        ({"spans": (Mark(99, 0), Mark(4, 7)), "evidence": ()}, "last", 4),  # and where there is nothing
    ],
)
def test_without_marks_of_a_person_the_evidence_says_which(fields: dict[str, object], basis: str, roles: int) -> None:
    row = correction(judged(), judgement(**fields), ORIGIN)
    assert isinstance(row, dict)
    assert (row["provenance"]["attribution"], len(row["prompt"])) == (basis, roles)


def test_a_pair_prefers_the_answer_over_what_the_agent_did_calls_included() -> None:
    row = preference(judged(), judgement(spans=(Mark(2, 2),)), ORIGIN, penalise_reasoning=False)
    assert isinstance(row, dict)
    assert row["chosen"] == [{"role": "assistant", "content": ANSWER}]
    assert [each["function"]["name"] for each in row["rejected"][0]["tool_calls"]] == ["transfer"]
    assert len(row["rejected"]) == 1


def test_what_the_agent_thought_is_never_rejected_unless_asked_for() -> None:
    acted = judgement(spans=(Mark(2, 0), Mark(2, 2)))
    assert "reasoning_content" not in rejected(preference(judged(), acted, ORIGIN, penalise_reasoning=False))[0]
    assert "reasoning_content" in rejected(preference(judged(), acted, ORIGIN, penalise_reasoning=True))[0]
    thought = judgement(spans=(Mark(2, 0),))
    assert preference(judged(), thought, ORIGIN, penalise_reasoning=False) == "reasoning_alone"
    assert isinstance(preference(judged(), thought, ORIGIN, penalise_reasoning=True), dict)
    assert isinstance(correction(judged(), thought, ORIGIN), dict)


@pytest.mark.parametrize(
    ("fields", "messages", "why"),
    [
        ({"corrected_answer": None}, LEDGER, "no_corrected_answer"),
        ({"corrected_answer": " \n"}, LEDGER, "no_corrected_answer"),
        ({"outcome": Outcome.DISMISSED}, LEDGER, "dismissed"),
        ({"spans": ()}, LEDGER[:2], "agent_says_nothing"),
        ({"spans": (Mark(1, 0),)}, [LEDGER[0], LEDGER[4]], "nobody_asked"),
        ({"spans": (Mark(0, 0),)}, [LEDGER[4]], "nobody_asked"),
    ],
)
def test_what_no_example_can_be_made_of_is_held_back_and_says_why(
    fields: dict[str, object], messages: list[dict[str, object]], why: str
) -> None:
    assert correction(judged(messages=messages), judgement(**fields), ORIGIN) == why
    assert preference(judged(messages=messages), judgement(**fields), ORIGIN, penalise_reasoning=False) == why


def test_an_answer_that_is_the_agents_own_is_no_pair() -> None:
    same = judgement(corrected_answer="  All invoices are settled.\n")
    assert preference(judged(), same, ORIGIN, penalise_reasoning=False) == "same_answer"


def test_every_row_says_where_it_comes_from() -> None:
    row = correction(judged(), judgement(), ORIGIN)
    assert isinstance(row, dict)
    told = row["provenance"]
    assert (told["label_ids"], told["reviewers"]) == (["l1"], ["0123456789abcdef"])
    assert (told["bundle_versions"], told["dataset"]) == (["first-0123456789ab"], "ds-0123456789ab")
    assert (told["plumbline"], told["licence"]) == ("0.1.0", "ours")
    assert (row["tenant"], row["conversation"], row["labelled_at"]) == ("acme", "c1", "2026-03-04T05:06:07+00:00")
