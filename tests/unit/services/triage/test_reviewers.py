"""Who decides otherwise than the others, and who is overruled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from services.triage.case import Disposition
from services.triage.label import Label, Source
from services.triage.reviewers import biases, statistics

YES, NO, UNSURE = Disposition.CONFIRMED, Disposition.DISMISSED, Disposition.UNSURE
MakeLabel = Callable[..., Label]


def kind(label: Label) -> str:
    return label.conversation_id.split("-")[0]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def decide(make_label: MakeLabel) -> Callable[..., list[Label]]:
    """`decide("ada", "deception", yes=3, no=2)`: five labels of conversations of their own."""

    def make(reviewer: str, category: str, *, yes: int, no: int, unsure: int = 0) -> list[Label]:
        given = [YES] * yes + [NO] * no + [UNSURE] * unsure
        return [make_label(reviewer, f"{category}-{reviewer}{number}", each) for number, each in enumerate(given)]

    return make


def test_who_confirms_what_others_dismiss_stands_out(
    decide: Callable[..., list[Label]], rng: np.random.Generator
) -> None:
    labels = decide("ada", "deception", yes=38, no=2) + decide("bob", "deception", yes=10, no=30)
    ada, bob = biases([*labels, *decide("cy", "deception", yes=10, no=30)], kind, rng)[:2]
    assert (ada.reviewer, ada.confirms, ada.others_confirm) == ("ada", 0.95, 0.25)
    assert ada.difference.value == pytest.approx(0.7)
    assert 0.5 < ada.difference.low < 0.7 < ada.difference.high < 0.9
    assert bob.difference.value < 0


def test_those_who_get_other_kinds_are_not_biased_for_it(
    decide: Callable[..., list[Label]], rng: np.random.Generator
) -> None:
    """Ada sees mostly what everybody confirms, Bob mostly what nobody does."""
    ada = decide("ada", "sabotage", yes=45, no=5) + decide("ada", "over_refusal", yes=1, no=9)
    bob = decide("bob", "sabotage", yes=9, no=1) + decide("bob", "over_refusal", yes=5, no=45)
    for found in biases(ada + bob, kind, rng):
        assert found.difference.value == pytest.approx(0)
        assert found.difference.low < 0 < found.difference.high


def test_kinds_that_nobody_else_decided_about_are_left_out(
    decide: Callable[..., list[Label]], rng: np.random.Generator
) -> None:
    alone = decide("ada", "coercion", yes=10, no=0)
    assert biases(alone, kind, rng) == []
    found = biases(alone + decide("ada", "sabotage", yes=1, no=1) + decide("bob", "sabotage", yes=1, no=1), kind, rng)
    assert [(each.reviewer, each.confirms, each.difference.of) for each in found] == [("ada", 0.5, 2), ("bob", 0.5, 2)]


def test_unsure_and_bulk_decisions_are_no_bias(make_label: MakeLabel, rng: np.random.Generator) -> None:
    labels = [make_label("ada", "d-1", UNSURE), make_label("bob", "d-2", YES), make_label("cy", "d-3", NO)]
    bulk = make_label("dee", "d-4", NO, source=Source.BULK)
    assert {each.reviewer for each in biases([*labels, bulk], kind, rng)} == {"bob", "cy"}


def test_statistics_are_of_the_labels_that_stand(make_label: MakeLabel) -> None:
    mistake = make_label("ada", "d-1", NO, seconds=900.0)
    labels = [
        mistake,
        make_label("ada", "d-1", YES, seconds=4.0, supersedes=mistake.label_id),
        make_label("ada", "d-2", UNSURE, seconds=10.0),
        make_label("ada", "d-3", NO, seconds=8.0),
        make_label("bob", "d-4", YES),
    ]
    ada, bob = statistics(labels)
    assert (ada.reviewer, ada.decisions, ada.median_seconds) == ("ada", 3, 8.0)
    assert ada.unsure is not None
    assert ada.unsure.value == pytest.approx(1 / 3)
    assert (bob.decisions, bob.median_seconds, bob.overturned) == (1, None, None)
    assert statistics([]) == []


def test_only_a_second_look_that_decides_otherwise_overturns(make_label: MakeLabel) -> None:
    first = [make_label("ada", f"d-{number}", YES) for number in range(5)]
    seconds = [
        make_label("bob", f"d-{number}", each, source=Source.SECOND) for number, each in enumerate([YES, NO, UNSURE])
    ]
    other = make_label("cy", "d-3", NO)  # no second look: somebody else's decision in plain sight
    ada, bob, _ = statistics([*first, *seconds, other])
    assert ada.overturned is not None
    assert (ada.overturned.value, ada.overturned.of) == (0.5, 2)
    assert bob.overturned is None
