"""Several people about one conversation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.queued import QueuedLabel

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")

from retrain.datasets.consensus import Consensus, consensus
from retrain.datasets.policy import Reason

pytestmark = pytest.mark.retrain
MakeLabel = Callable[..., QueuedLabel]


def why(found: Consensus, label: QueuedLabel) -> Reason | None:
    return found.held_back.get(str(label.label_id))


def test_the_majority_decides_and_the_others_wait(make_label: MakeLabel) -> None:
    yes, also = make_label("c", by="ann"), make_label("c", by="ben", number=1)
    no = make_label("c", by="cem", number=2, disposition="dismissed")
    for labels in permutations([yes, also, no]):
        found = consensus(labels, {})
        (agreed,) = found.agreed
        assert agreed.labels == (yes, also)
        assert agreed.label_ids == tuple(sorted([str(yes.label_id), str(also.label_id)]))
        assert found.held_back == {str(no.label_id): Reason.AGAINST_CONSENSUS}


def test_a_tie_is_held_back_whole(make_label: MakeLabel) -> None:
    labels = [make_label("c", by="ann"), make_label("c", by="ben", disposition="dismissed")]
    found = consensus(labels, {})
    assert found.agreed == ()
    assert set(found.held_back.values()) == {Reason.DISAGREEMENT}
    assert len(found.held_back) == 2


def test_a_reviewer_has_one_vote_the_latest(make_label: MakeLabel) -> None:
    early, late = (make_label("c", number=n, disposition=what) for n, what in enumerate(["dismissed", "confirmed"]))
    found = consensus([late, early], {})
    assert found.agreed[0].labels == (late,)
    assert found.held_back == {str(early.label_id): Reason.SUPERSEDED}


def test_nobody_read_what_was_decided_in_bulk(make_label: MakeLabel) -> None:
    bulk = [make_label("c", by=f"b{n}", number=n, source="bulk", disposition="dismissed") for n in range(3)]
    looked = make_label("c", by="ann", number=9)
    found = consensus([*bulk, looked], {})
    assert found.agreed[0].labels == (looked,)
    assert {why(found, each) for each in bulk} == {Reason.AGAINST_CONSENSUS}
    assert consensus(bulk, {}).agreed[0].latest == bulk[-1]


def test_categories_are_voted_on_by_those_who_name_one(make_label: MakeLabel) -> None:
    labels = [
        make_label("c", by=f"r{n}", number=n, category=category)
        for n, category in enumerate(["misalignment", "sabotage", "misalignment", "sabotage", "deception"])
    ]
    found = consensus(labels, {})
    assert found.agreed[0].category == "sabotage"
    assert found.agreed[0].labels == tuple(labels[:4])
    assert why(found, labels[4]) is Reason.AGAINST_CONSENSUS
    even = consensus([labels[1], labels[4]], {})
    assert even.agreed == ()
    assert set(even.held_back.values()) == {Reason.DISAGREEMENT}


def test_what_a_dismissed_one_was_flagged_as_divides_nobody(make_label: MakeLabel) -> None:
    labels = [
        make_label("c", by=by, category=category, disposition="dismissed")
        for by, category in (("ann", "sabotage"), ("ben", "coercion"))
    ]
    (agreed,) = consensus(labels, {}).agreed
    assert len(agreed.labels) == 2
    assert agreed.category == "coercion"


def test_the_newest_recording_is_taken_wherever_it_is(make_label: MakeLabel) -> None:
    first, second = make_label("c", "a", "b", by="ann"), make_label("c", "a", "b", "c", "d", by="ben", number=1)
    silent = make_label("c", by="cem", number=2, messages=None)
    assert consensus([first, second, silent], {}).agreed[0].messages == second.messages
    assert consensus([silent], {}).agreed[0].messages is None


def test_what_is_held_out_stays_while_its_labels_stand(make_label: MakeLabel) -> None:
    kept = make_label("c", by="ann")
    against = [make_label("c", by=f"r{n}", number=n, disposition="dismissed") for n in range(2)]
    held_out = {kept.key: frozenset({str(kept.label_id)})}
    found = consensus([kept, *against], held_out)
    assert (found.kept, found.contested, found.agreed) == ({kept.key}, 1, ())
    assert {why(found, each) for each in against} == {Reason.FROZEN}
    changed_mind = make_label("c", by="ann", number=5, disposition="dismissed")
    found = consensus([kept, changed_mind], held_out)
    assert found.kept == frozenset()
    assert found.agreed[0].labels == (changed_mind,)


VOTES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from("abcd"),
        st.integers(0, 3),
        st.sampled_from(["confirmed", "dismissed"]),
        st.sampled_from(["deception", "sabotage", "misalignment"]),
        st.sampled_from(["triage", "bulk"]),
    ),
    max_size=14,
)


@given(VOTES, st.randoms(use_true_random=False))
def test_every_label_is_in_one_place_whatever_the_order(make_label: MakeLabel, votes, rng) -> None:  # type: ignore[no-untyped-def]
    labels = [
        make_label(f"c{c}", "hi", "ho", by=by, number=n, disposition=what, category=category, source=source)
        for c, by, n, what, category, source in votes
    ]
    found = consensus(labels, {})
    placed = [label for agreed in found.agreed for label in agreed.label_ids] + list(found.held_back)
    assert sorted(placed) == sorted({str(label.label_id) for label in labels})
    for agreed in found.agreed:
        assert len({label.reviewer for label in agreed.labels}) == len(agreed.labels)
        assert len({label.disposition for label in agreed.labels}) == 1
    rng.shuffle(labels)
    assert consensus(labels, {}) == found
