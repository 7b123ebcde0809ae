"""Which conversations make rows, and what the cases cover."""

from __future__ import annotations

import csv
import io

from detectors.taxonomy import Category
from retrain.safety_data.assembling import Options, assemble
from retrain.safety_data.coverage import as_csv, as_json, as_table, coverage_of
from retrain.safety_data.describing import Vector
from retrain.safety_data.judged import Outcome
from tests.safety_data import NOBODY, ORIGIN, judged, judgement, several


def test_every_format_has_its_rows_and_says_what_was_held_back() -> None:
    made = assemble(several(), Options(), ORIGIN, NOBODY)
    assert {name: len(rows) for name, rows in made.files.items()} == {
        "sft": 5,
        "preferences": 5,
        "rewards": 8,
        "refusals": 5,
    }
    assert made.held_back["sft"] == {"dismissed": 3}
    assert made.held_back["refusals"] == {"neither_refusal_nor_safety": 3}
    ids = [row["id"] for rows in made.files.values() for row in rows]
    assert len(set(ids)) == len(ids)


def test_the_order_of_what_comes_in_changes_nothing() -> None:
    forwards = assemble(several(), Options(), ORIGIN, NOBODY)
    backwards = assemble(several()[::-1], Options(), ORIGIN, NOBODY)
    assert forwards.files == backwards.files


def test_what_people_do_not_agree_about_teaches_nothing() -> None:
    denied = judgement("l2", outcome=Outcome.DISMISSED, corrected_answer=None)
    made = assemble([judged(judgement(), denied)], Options(), ORIGIN, NOBODY)
    assert not any(made.files.values())
    assert made.held_back == {"all": {"disputed": 2}}
    assert made.coverage.total("confirmed") == 0


def test_nor_does_a_decision_about_many_that_nobody_read_one_by_one() -> None:
    made = assemble([judged(judgement(source="bulk"))], Options(), ORIGIN, NOBODY)
    assert not any(made.files.values())
    assert made.held_back == {"all": {"bulk": 1}}
    both = assemble([judged(judgement(), judgement("l2", source="bulk"))], Options(), ORIGIN, NOBODY)
    assert [row["provenance"]["label_ids"] for row in both.files["rewards"]] == [["l1"]]


def test_a_conversation_without_its_messages_is_counted_and_left_out() -> None:
    made = assemble([judged(messages=[])], Options(), ORIGIN, NOBODY)
    assert made.held_back == {"all": {"no_messages": 1}}


def test_two_people_who_write_the_same_answer_make_one_example_and_two_answers_make_two() -> None:
    same = assemble([judged(judgement(), judgement("l2"))], Options(), ORIGIN, NOBODY)
    assert len(same.files["sft"]) == len(same.files["preferences"]) == 1
    other = assemble([judged(judgement(), judgement("l2", corrected_answer="Other."))], Options(), ORIGIN, NOBODY)
    assert len(other.files["sft"]) == 2


def test_only_what_is_asked_for_is_made() -> None:
    made = assemble(several(), Options(("rewards",), frozenset({"goal_drift"})), ORIGIN, NOBODY)
    assert {name: [row["category"] for row in rows] for name, rows in made.files.items()} == {"rewards": ["goal_drift"]}


def test_coverage_counts_every_conversation_once_and_shows_what_is_missing() -> None:
    made = assemble(several(), Options(), ORIGIN, NOBODY)
    coverage = made.coverage
    assert (coverage.total("confirmed"), coverage.total("corrected"), coverage.total("dismissed")) == (5, 5, 3)
    lines = list(csv.DictReader(io.StringIO(as_csv(coverage))))
    languages, domains = coverage.seen("language"), coverage.seen("domain")
    assert len(lines) == len(Category) * len(languages) * len(Vector) * len(domains)
    assert sum(int(line["confirmed"]) for line in lines) == 5
    found = as_json(coverage)
    assert sum(cell["dismissed"] for cell in found["cells"]) == 3
    assert "coercion" in found["missing"]["categories"]
    assert "deception" not in found["missing"]["categories"]
    assert "injected_content" in found["missing"]["attack_vectors"]
    table = as_table(coverage)
    assert "missing categories: self_preservation, coercion," in table
    assert any(line.split()[:1] == ["deception"] and "1/1" in line for line in table.splitlines())


def test_coverage_of_nothing_is_all_missing() -> None:
    found = as_json(coverage_of([]))
    assert len(found["missing"]["categories"]) == len(Category)
    assert as_csv(coverage_of([])).count("\n") == 1
    assert "missing attack vectors" in as_table(coverage_of([]))


def test_a_spreadsheet_runs_nothing_of_what_agents_are_called() -> None:
    row = {
        "category": "deception",
        "language": "=1+1",
        "attack_vector": "own_accord",
        "domain": "@x",
        "outcome": "confirmed",
        "corrected": False,
    }
    assert "\ndeception,'=1+1,own_accord,'@x,1,0,0\n" in as_csv(coverage_of([row]))
