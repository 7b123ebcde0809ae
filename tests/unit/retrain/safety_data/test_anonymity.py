"""Nobody is told from fewer than k conversations, in any file, whatever the rows are."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retrain.safety_data.anonymity import ANY, anonymised, combination
from retrain.safety_data.assembling import FORMATS, Options, assemble
from retrain.safety_data.rows import QUASI_IDENTIFIERS
from tests.safety_data import NOBODY, ORIGIN, judged, judgement

Rows = list[dict[str, Any]]


def row(conversation: str, **columns: str) -> dict[str, Any]:
    plain = {"tenant": "t", "agent": "a", "model": "m", "model_version": "1.2", "language": "en", "domain": "finance"}
    day = columns.get("day", "2026-01-02")
    return {"conversation": conversation, **plain, "day": day, "labelled_at": f"{day}T10:00:00+00:00", **columns}


def people(rows: Rows) -> dict[tuple[str, ...], set[str]]:
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for each in rows:
        found[combination(each)].add(each["conversation"])
    return found


@st.composite
def files(draw: st.DrawFn) -> dict[str, Rows]:
    """Rows of up to 30 conversations in two files; those of one conversation say the same."""
    conversations = [
        row(
            f"c{number}",
            tenant=draw(st.sampled_from("xyz")),
            agent=draw(st.sampled_from("abc")),
            model_version=draw(st.sampled_from(["1.1", "1.2", "v2.0", "beta"])),
            language=draw(st.sampled_from(["en", "de"])),
            day=draw(st.sampled_from(["2026-01-02", "2026-01-30", "2025-07-01"])),
        )
        for number in range(draw(st.integers(0, 30)))
    ]
    some = st.lists(st.sampled_from(conversations), max_size=60) if conversations else st.just([])
    return {"sft": draw(some), "rewards": draw(some)}


@given(files(), st.integers(2, 8))
def test_every_combination_is_that_of_k_conversations_in_each_file(made: dict[str, Rows], k: int) -> None:
    found = anonymised(made, k)
    for name, rows in found.files.items():
        assert all(len(each) >= k for each in people(rows).values())
        assert len(rows) + found.suppressed[name] == len(made[name])
        assert all(each["labelled_at"] == each["day"] for each in rows)


@given(files(), st.integers(2, 8))
def test_what_is_known_of_a_conversation_is_the_same_in_every_file(made: dict[str, Rows], k: int) -> None:
    found = anonymised(made, k)
    seen: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for rows in found.files.values():
        for each in rows:
            seen[each["conversation"]].add(combination(each))
    assert all(len(combinations) == 1 for combinations in seen.values())


@given(files(), st.integers(2, 8))
def test_few_rows_are_left_out_unless_nothing_is_left_to_make_coarser(made: dict[str, Rows], k: int) -> None:
    found = anonymised(made, k)
    total = sum(map(len, made.values()))
    if sum(found.suppressed.values()) > 0.1 * total:
        kept = {each[column] for rows in found.files.values() for each in rows for column in QUASI_IDENTIFIERS}
        assert kept <= {ANY}


def test_one_person_many_times_is_still_one() -> None:
    assert anonymised({"sft": [row("c1")] * 50}, 2).files == {"sft": []}


def test_the_widest_column_goes_first_and_the_others_stay() -> None:
    rows = [row(f"c{number}", agent=f"agent-{number}") for number in range(6)]
    found = anonymised({"sft": rows}, 3)
    assert {each["agent"] for each in found.files["sft"]} == {ANY}
    assert {each["tenant"] for each in found.files["sft"]} == {"t"}
    assert found.levels["agent"] == 1
    assert found.suppressed == {"sft": 0}


def test_days_become_months_and_versions_their_first_number_before_they_are_gone() -> None:
    rows = [row(f"c{number}", day=f"2026-01-{number + 1:02}") for number in range(6)]
    assert {each["day"] for each in anonymised({"sft": rows}, 6).files["sft"]} == {"2026-01"}
    rows = [row(f"c{number}", model_version=f"v2.{number}") for number in range(6)]
    assert {each["model_version"] for each in anonymised({"sft": rows}, 6).files["sft"]} == {"2"}


def test_an_export_with_k_hides_the_one_who_stands_alone_in_every_format_and_in_coverage() -> None:
    many = [judged(judgement(f"l{number}"), conversation=f"c{number}") for number in range(12)]
    alone = judged(judgement("alone"), conversation="c-alone", tenant="tiny")
    made = assemble([*many, alone], Options(k=3), ORIGIN, NOBODY)
    assert not [each for rows in made.files.values() for each in rows if each["conversation"] == "c-alone"]
    assert made.suppressed == {"sft": 1, "preferences": 1, "rewards": 1, "refusals": 0}
    assert made.coverage.total("confirmed") == 12
    plain = assemble([*many, alone], Options(), ORIGIN, NOBODY)
    assert set(plain.files) == set(FORMATS)
    assert len(plain.files["sft"]) == 13
