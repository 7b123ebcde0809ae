"""Agreement beyond chance, and of which labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.triage.agreement import Rating, agreement, pairs, ratings, standing
from services.triage.case import Disposition
from services.triage.label import Label, Source

YES, NO, UNSURE, RETRACTED = (
    Disposition.CONFIRMED,
    Disposition.DISMISSED,
    Disposition.UNSURE,
    Disposition.RETRACTED,
)


def table(**columns: str) -> list[Rating]:
    """A column for each reviewer: y(es), n(o), u(nsure) or . for each unit."""
    meanings = {"y": YES, "n": NO, "u": UNSURE}
    return [
        Rating(("default", str(unit)), reviewer, meanings[letter])
        for reviewer, letters in columns.items()
        for unit, letter in enumerate(letters)
        if letter != "."
    ]


def test_alpha_is_what_is_worked_out_by_hand(rng: np.random.Generator) -> None:
    """Krippendorff (2004) for two reviewers and two values: 4 of 10 units differ, 6 of 20 ratings confirm."""
    found = agreement(table(meg="nynnnnnnnn", owen="yyynnynnyn"), rng)
    assert found is not None
    assert found.alpha == pytest.approx(1 - 19 * 4 / (14 * 6))
    assert (found.units, found.reviewers) == (10, 2)
    assert found.low <= found.alpha <= found.high


def test_full_agreement_is_1_and_the_reverse_is_below_0(rng: np.random.Generator) -> None:
    same, reverse = agreement(table(a="ynyn", b="ynyn"), rng), agreement(table(a="ynyn", b="nyny"), rng)
    assert same is not None
    assert reverse is not None
    assert (same.alpha, same.low, same.high) == (1, 1, 1)
    assert reverse.alpha < 0


def test_unsure_is_missing_and_so_is_what_one_person_rated(rng: np.random.Generator) -> None:
    plain, padded = table(a="ynyn", b="ynyy"), table(a="ynynuy.", b="ynyyn.y")
    one, other = (agreement(given, np.random.default_rng(1)) for given in (plain, padded))
    assert one == other


@pytest.mark.parametrize("given", [table(), table(a="yn"), table(a="y.", b="yn"), table(a="yu", b="yn")])
def test_there_is_none_where_fewer_than_two_were_rated_twice(given: list[Rating], rng: np.random.Generator) -> None:
    assert agreement(given, rng) is None
    assert pairs(given) == []


def test_there_is_none_where_all_say_the_same(rng: np.random.Generator) -> None:
    assert agreement(table(a="yyyy", b="yyyy"), rng) is None
    (both,) = pairs(table(a="yyyy", b="yyyy"))
    assert (both.share, both.units) == (1, 4)


def test_pairs_are_told_apart(rng: np.random.Generator) -> None:
    found = pairs(table(c="yn..", a="ynyn", b="yyyu"))
    assert [(each.reviewers, each.share, each.units) for each in found] == [
        (("a", "b"), 2 / 3, 3),
        (("a", "c"), 1, 2),
        (("b", "c"), 1 / 2, 2),
    ]


def test_more_conversations_tell_more(rng: np.random.Generator) -> None:
    few, many = agreement(table(a="ynynn", b="ynyny"), rng), agreement(table(a="ynynn" * 40, b="ynyny" * 40), rng)
    assert few is not None
    assert many is not None
    assert many.high - many.low < few.high - few.low


ratings_of_some = st.lists(
    st.builds(
        lambda unit, reviewer, disposition: Rating(("t", unit), reviewer, disposition),
        st.sampled_from("123456"),
        st.sampled_from("abc"),
        st.sampled_from([YES, NO, UNSURE]),
    ),
    unique_by=lambda rating: (rating.unit, rating.reviewer),
)


@given(ratings_of_some, st.permutations("abc"))
def test_it_does_not_matter_who_is_who_or_in_what_order(given: list[Rating], names: list[str]) -> None:
    renamed = [
        Rating(each.unit, dict(zip("abc", names, strict=True))[each.reviewer], each.disposition) for each in given
    ]
    one, other = (agreement(each, np.random.default_rng(3), resamples=20) for each in (given, renamed[::-1]))
    assert (one is None) == (other is None)
    if one and other:
        assert one.alpha == pytest.approx(other.alpha)
        assert -1 <= one.low <= one.alpha <= one.high <= 1


def test_a_reviewers_latest_label_stands_and_retractions_undo(make_label: Callable[..., Label]) -> None:
    first = make_label("ada", "c1", YES)
    second = make_label("ada", "c1", NO, supersedes=first.label_id)
    other = make_label("bob", "c1", YES)
    mistake = make_label("bob", "c2", YES)
    undo = make_label("bob", "c2", RETRACTED, supersedes=mistake.label_id)
    assert standing([undo, other, second, mistake, first]) == [second, other]


def test_undoing_a_second_thought_does_not_bring_back_the_first(make_label: Callable[..., Label]) -> None:
    first = make_label("ada", "c1", YES)
    second = make_label("ada", "c1", NO, supersedes=first.label_id)
    undo = make_label("ada", "c1", RETRACTED, supersedes=second.label_id)
    again = make_label("ada", "c1", YES)
    assert standing([first, second, undo]) == []
    assert standing([first, second, undo, again]) == [again]


def test_only_blind_labels_of_people_who_read_are_ratings(make_label: Callable[..., Label]) -> None:
    read = make_label("ada", "c1", YES)
    labels = [read, make_label("bob", "c1", YES, blind=False), make_label("cy", "c1", YES, source=Source.BULK)]
    assert ratings(labels) == [Rating(("default", "c1"), "ada", YES)]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
