"""What to label next: uncertain, and not the same thing over and over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.observation import distance, sketch
from services.triage.next_up import Candidate, gap, next_up

WORDS = ["refund", "backup", "password", "meeting", "invoice", "garden", "engine", "violin", "harbour", "lantern"]


def about(*words: str) -> str:
    made = sketch(words)
    assert made is not None
    return made


sketches = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(lambda words: sketch(words))
candidates = st.lists(
    st.builds(
        Candidate,
        key=st.text("abcdefgh", min_size=1, max_size=3),
        probability=st.floats(0, 1),
        threshold=st.floats(0.01, 0.99),
        sketch=sketches | st.none(),
    ),
    unique_by=lambda each: each.key,
    max_size=25,
)
labelled_before = st.lists(sketches | st.none(), max_size=6)
counts = st.integers(-1, 30)


@given(candidates, labelled_before, counts)
def test_as_many_as_asked_for_each_once_the_most_uncertain_first(
    given: list[Candidate], labelled: list[str | None], count: int
) -> None:
    chosen = next_up(given, labelled, count)
    assert len(chosen) == max(0, min(count, len(given)))
    assert len({each.key for each in chosen}) == len(chosen)
    assert {each.key for each in chosen} <= {each.key for each in given}
    if chosen:
        assert gap(chosen[0]) == min(gap(each) for each in given)


@given(candidates, labelled_before, counts, st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_matter_and_fewer_are_the_first_of_more(
    given: list[Candidate], labelled: list[str | None], count: int, random: np.random.Generator
) -> None:
    shuffled = list(given)
    random.shuffle(shuffled)
    chosen = next_up(given, labelled, count)
    assert next_up(shuffled, labelled, count) == chosen
    assert next_up(given, labelled, count - 1) == chosen[: max(0, count - 1)]


def _farthest(all_of: Sequence[Candidate], chosen: Sequence[Candidate]) -> float:
    """The k-centre objective: how far anything is from the nearest chosen one."""
    return max(
        min(distance(each.sketch, other.sketch) for other in chosen if other.sketch) for each in all_of if each.sketch
    )


def clustered() -> list[Candidate]:
    """One cluster of fifty at the threshold itself, and nine of five that are a little less uncertain."""
    crowd = [Candidate(f"crowd{n}", 0.5, 0.5, about(WORDS[0], WORDS[0], f"filler{n}")) for n in range(50)]
    others = [
        Candidate(f"{word}{n}", 0.6, 0.5, about(word, word, word, f"filler{n}")) for word in WORDS[1:] for n in range(5)
    ]
    return crowd + others


def test_it_covers_what_the_most_uncertain_alone_do_not() -> None:
    everything = clustered()
    chosen = next_up(everything, [], 10)
    most_uncertain = sorted(everything, key=lambda each: (gap(each), each.key))[:10]
    assert {each.key.rstrip("0123456789") for each in chosen} == {"crowd", *WORDS[1:]}
    assert {each.key.rstrip("0123456789") for each in most_uncertain} == {"crowd"}
    assert _farthest(everything, chosen) < 0.75 * _farthest(everything, most_uncertain)


def test_what_is_labelled_already_is_not_asked_for_again() -> None:
    known = [about(word, word, word) for word in WORDS[2:]]
    chosen = next_up(clustered(), known, 3)
    assert [each.key.rstrip("0123456789") for each in chosen][:2] == ["crowd", WORDS[1]]


def test_what_is_plainly_harmless_waits_however_unusual_it_is() -> None:
    unusual = Candidate("unusual", 1e-6, 0.5, about("zeppelin"))
    assert unusual not in next_up([*clustered(), unusual], [], 10)


def test_uncertain_is_near_the_threshold_in_log_odds() -> None:
    near, far = Candidate("a", 0.02, 0.01, None), Candidate("b", 0.9, 0.01, None)
    assert gap(Candidate("c", 0.01, 0.01, None)) == 0
    assert gap(near) == pytest.approx(np.log(0.02 / 0.98) - np.log(0.01 / 0.99))
    assert gap(near) < gap(far)
    assert np.isfinite(gap(Candidate("d", 0.0, 1.0, None)))


def test_those_without_a_sketch_are_one_thing() -> None:
    blank = [Candidate(f"blank{n}", 0.5, 0.5, None) for n in range(5)]
    seen = Candidate("seen", 0.6, 0.5, about("violin"))
    assert [each.key for each in next_up([*blank, seen], [], 3)] == ["blank0", "seen", "blank1"]
    assert next_up([*blank[1:], seen], [None], 2)[1] is seen


def test_hundreds_of_labels_are_all_taken_into_account() -> None:
    labelled = [about("invoice")] * 600
    crowd, violin = Candidate("a", 0.5, 0.5, about("refund")), Candidate("b", 0.55, 0.5, about("violin"))
    harbour = Candidate("c", 0.55, 0.5, about("harbour"))
    assert next_up([crowd, violin, harbour], [*labelled, about("violin")], 2) == [crowd, harbour]
