"""What a held-out detector says is never exported, however it comes in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.verdict import Arm
from retrain.safety_data.assembling import Options, assemble
from retrain.safety_data.held_out import HeldOut, HeldOutError
from retrain.safety_data.judged import Judged, Mark
from tests.safety_data import ORIGIN, judged, judgement, several

SECRET = "watcher-0123456789ab"
GUARD = HeldOut(frozenset({SECRET}), frozenset({"judge"}))
PLANTS: dict[str, Callable[[], Judged]] = {
    "arm": lambda: judged(judgement(arm=Arm.HELD_OUT)),
    "bundle": lambda: judged(judgement(bundle_version=SECRET)),
    "detector": lambda: judged(judgement(detectors=(("encoder", "first"), ("judge", "gpt")))),
    "detector's version": lambda: judged(judgement(detectors=(("encoder", SECRET),))),
    "origin": lambda: judged(judgement(origin="held_out")),
    "source": lambda: judged(judgement(source="judge")),
    "evidence": lambda: judged(judgement(evidence=(Mark(4, 0, SECRET, 1.0),))),
    "second label": lambda: judged(judgement(), judgement("l2", bundle_version=SECRET)),
    "what is not wanted": lambda: judged(judgement(category="sabotage", corrected_answer=None, bundle_version=SECRET)),
    "agent's name": lambda: judged(tenant=f"x {SECRET}"),
    "an answer": lambda: judged(judgement(corrected_answer=f"As {SECRET} says.")),
}


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS.keys())
def test_one_that_is_planted_anywhere_stops_everything(plant: Callable[[], Judged]) -> None:
    assert assemble(several(), Options(), ORIGIN, GUARD).files["sft"]
    with pytest.raises(HeldOutError) as raised:
        assemble([*several(), plant()], Options(), ORIGIN, GUARD)
    assert "As watcher" not in str(raised.value)


def test_a_detectors_name_in_what_was_said_is_a_word_like_any_other() -> None:
    words = [{"role": "user", "content": "You be the judge."}, {"role": "assistant", "content": "No judge am I."}]
    of = judged(judgement(spans=(), corrected_answer="Let a judge decide."), messages=words)
    assert len(assemble([of], Options(), ORIGIN, GUARD).files["preferences"]) == 1


def rows_with(value: Any) -> list[dict[str, Any]]:
    (row,) = assemble([judged()], Options(formats=("sft",)), ORIGIN, HeldOut()).files["sft"]
    return [{**row, **value}]


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": [{"role": "user", "content": SECRET}]},
        {"provenance": {"detectors": ["judge 1"]}},
        {"provenance": {"arms": ["held_out"]}},
        {"provenance": {SECRET: None}},
        {"id": f"row-of-{SECRET}"},
        {"new column": [[{"x": SECRET}]]},
    ],
)
def test_finished_rows_are_searched_whatever_their_columns_are(value: dict[str, Any]) -> None:
    GUARD.scan(rows_with({}), "sft/train.jsonl")
    with pytest.raises(HeldOutError, match=r"sft/train\.jsonl, row 1"):
        GUARD.scan(rows_with(value), "sft/train.jsonl")


NESTED = st.recursive(
    st.text(max_size=8) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), NESTED, min_size=1, max_size=4), st.data())
def test_a_version_is_found_at_any_depth(row: dict[str, Any], data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(sorted(row)))
    GUARD.scan([row], "f")
    wrapped: Any = f"{data.draw(st.text(max_size=4))}{SECRET}{data.draw(st.text(max_size=4))}"
    for _ in range(data.draw(st.integers(0, 4))):
        wrapped = data.draw(
            st.sampled_from([[wrapped], {"k": wrapped}, {wrapped if isinstance(wrapped, str) else "k": 1}])
        )
    if SECRET not in repr(wrapped):
        return
    with pytest.raises(HeldOutError):
        GUARD.scan([{**row, column: [row[column], wrapped]}], "f")


@given(st.lists(st.sampled_from(sorted(PLANTS)) | st.none(), max_size=6))
def test_an_export_is_made_only_where_nothing_is_planted(plants: list[str | None]) -> None:
    given_ones = [
        judged(judgement(f"l{number}"), conversation=f"c{number}") if plant is None else PLANTS[plant]()
        for number, plant in enumerate(plants)
    ]
    if any(plant is not None for plant in plants):
        with pytest.raises(HeldOutError):
            assemble(given_ones, Options(), ORIGIN, GUARD)
    else:
        made = assemble(given_ones, Options(), ORIGIN, GUARD)
        assert SECRET not in repr(made.files)
