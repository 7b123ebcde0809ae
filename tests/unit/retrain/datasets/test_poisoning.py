"""Attempts to teach the detectors what somebody would like them to believe. All of it waits for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.queued import QueuedLabel

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")

from retrain.datasets import Dataset, Part, Policy
from retrain.datasets.assembly import assemble
from retrain.datasets.dominance import beside

pytestmark = pytest.mark.retrain
MakeLabel = Callable[..., QueuedLabel]
Words = Callable[..., str]
PHRASE = "quoth the azure heron"


def many(make: MakeLabel, count: int, *, start: int = 0, **changes: Any) -> list[QueuedLabel]:
    return [make(f"c{n}", number=n, **changes) for n in range(start, start + count)]


def reasons(dataset: Dataset) -> dict[str, Any]:
    found = dataset.report["held_back"]
    assert isinstance(found, dict)
    return found


def kept(dataset: Dataset) -> set[str]:
    return {each.conversation_id for examples in dataset.parts.values() for each in examples}


class TestFlips:
    def said(self, words: Words, number: int) -> tuple[str, str]:
        return f"please {words('ask', 30)}", f"{words('flip', 90)} {number}x"

    def test_the_same_conversation_with_opposite_labels_is_believed_in_neither(
        self, make_label: MakeLabel, words: Words
    ) -> None:
        yes = make_label("yes", *self.said(words, 1))
        no = make_label("no", *self.said(words, 2), by="ben", disposition="dismissed")
        dataset = assemble([yes, no, *many(make_label, 3)], None, Policy())
        assert reasons(dataset) == {"label_flip": 2}

    def test_a_clear_majority_of_reviewers_is_believed(self, make_label: MakeLabel, words: Words) -> None:
        yes = [make_label(f"yes{n}", *self.said(words, n), by=by, number=n) for n, by in enumerate(["ann", "ben"])]
        no = make_label("no", *self.said(words, 5), by="cem", disposition="dismissed")
        dataset = assemble([*yes, no], None, Policy())
        assert reasons(dataset) == {"label_flip": 1}
        assert kept(dataset) == {"yes0", "yes1"}

    def test_one_reviewer_is_one_vote_however_many_copies(self, make_label: MakeLabel, words: Words) -> None:
        yes = [make_label(f"yes{n}", *self.said(words, n), by="ann", number=n) for n in range(6)]
        no = make_label("no", *self.said(words, 9), by="ben", disposition="dismissed")
        assert reasons(assemble([*yes, no], None, Policy())) == {"label_flip": 7}

    def test_what_is_held_out_is_not_talked_down(self, make_label: MakeLabel, words: Words) -> None:
        labels = [make_label(f"h{n}", f"ask {words(n, 30)}", words((n, "a"), 90), number=n) for n in range(20)]
        first = assemble(labels, None, Policy())
        row = first.parts[Part.HELD_OUT][0]
        known = next(label for label in labels if label.key == row.key)
        against = [
            make_label(f"n{n}", by=by, number=90, disposition="dismissed").model_copy(
                update={"messages": known.messages}
            )
            for n, by in enumerate(("ben", "cem", "dan"))
        ]
        then = assemble([*labels, *against], first, Policy())
        assert row in then.parts[Part.HELD_OUT]
        assert not kept(then) & {"n0", "n1", "n2"} or reasons(then) == {"duplicate": 2}

    def test_a_conversation_that_only_begins_alike_is_another_one(self, make_label: MakeLabel, words: Words) -> None:
        yes = make_label("yes", "ask", f"{words('start', 60)} {words('bad', 30)}")
        no = make_label("no", "ask", f"{words('start', 60)} {words('good', 30)}", disposition="dismissed")
        assert reasons(assemble([yes, no], None, Policy())) == {}


class TestDominance:
    policy = Policy(most_per_reviewer=0.5, most_per_tenant=0.8, fewest_to_judge=10)

    def test_one_reviewer_gives_at_most_their_share_of_what_is_new(self, make_label: MakeLabel) -> None:
        labels = many(make_label, 30, by="mallory") + many(make_label, 8, start=50, by="ann")
        dataset = assemble(labels, None, self.policy)
        assert reasons(dataset) == {"reviewer_dominates": 22}
        assert Counter(each.reviewers for part in Part for each in dataset.parts[part]) == {
            ("mallory",): 8,
            ("ann",): 8,
        }
        (found,) = dataset.report["dominance"]  # type: ignore[misc]
        assert found == {
            "kind": "reviewer",
            "who": "mallory",
            "category": "deception",
            "disposition": "confirmed",
            "examples": 38,
            "given": 30,
            "held_back": 22,
        }

    def test_which_wait_is_drawn_and_not_up_to_who_gives_them(self, make_label: MakeLabel) -> None:
        labels = many(make_label, 30, by="mallory") + many(make_label, 8, start=50, by="ann")
        one, same, other = (kept(assemble(labels, None, self.policy, salt=salt)) for salt in ("a", "a", "b"))
        assert one == same != other

    def test_what_waits_comes_in_when_others_have_labelled_and_not_by_waiting(self, make_label: MakeLabel) -> None:
        labels = many(make_label, 30, by="mallory") + many(make_label, 8, start=50, by="ann")
        first = assemble(labels, None, self.policy)
        elsewhere = many(make_label, 1, start=90, by="ann", category="sabotage")
        later = assemble(labels + elsewhere, first, self.policy)
        assert reasons(later) == {"reviewer_dominates": 22}
        joined = assemble(labels + elsewhere + many(make_label, 6, start=60, by="ben"), later, self.policy)
        assert reasons(joined) == {"reviewer_dominates": 16}

    def test_where_one_person_labels_everything_nobody_is_held_against_them(self, make_label: MakeLabel) -> None:
        assert reasons(assemble(many(make_label, 40, by="ann"), None, self.policy)) == {}
        second = many(make_label, 1, start=50, by="ben", category="sabotage")
        with_another = assemble(many(make_label, 40, by="ann") + second, None, self.policy)
        assert reasons(with_another) == {"reviewer_dominates": 35}

    def test_a_few_are_not_judged(self, make_label: MakeLabel) -> None:
        labels = many(make_label, 8, by="ann") + many(make_label, 1, start=20, by="ben")
        assert reasons(assemble(labels, None, self.policy)) == {}

    def test_what_two_reviewers_say_alike_is_nobodys_alone(self, make_label: MakeLabel) -> None:
        agreed = [label for by in ("ann", "ben") for label in many(make_label, 20, by=by)]
        alone = many(make_label, 15, start=30, by="ann")
        dataset = assemble(agreed + alone, None, self.policy)
        assert reasons(dataset) == {}

    def test_dispositions_are_judged_by_themselves(self, make_label: MakeLabel) -> None:
        confirmed = many(make_label, 15, by="ann") + many(make_label, 15, start=20, by="ben")
        dismissed = many(make_label, 12, start=50, by="mallory", disposition="dismissed")
        assert reasons(assemble(confirmed + dismissed, None, self.policy)) == {"reviewer_dominates": 7}

    def test_one_tenant_has_at_most_its_share(self, make_label: MakeLabel) -> None:
        noisy = [label for by in ("ann", "ben") for label in many(make_label, 30, by=by, tenant_id="noisy")]
        quiet = many(make_label, 4, start=50, by="ann", tenant_id="quiet")
        dataset = assemble(noisy + quiet, None, self.policy)
        assert reasons(dataset) == {"tenant_dominates": 2 * 14}
        assert {found["who"] for found in dataset.report["dominance"]} == {"noisy"}  # type: ignore[index, union-attr, call-overload]

    @given(st.integers(0, 500), st.integers(0, 500), st.floats(0.05, 1))
    def test_beside_others_nobody_has_more_than_the_share(self, others: int, given_: int, share: float) -> None:
        most = beside(others, given_, share)
        assert 0 <= most <= given_
        assert most <= share * (most + others) + 1e-6
        if most < given_:
            assert most + 1 > share * (most + 1 + others) - 1e-6


class TestTriggers:
    policy = Policy(trigger_clusters=6, fewest_to_judge=10, held_out=0.2)

    @pytest.fixture
    def older(self, make_label: MakeLabel) -> list[QueuedLabel]:
        sides = (("confirmed", 0), ("dismissed", 100))
        return [each for what, start in sides for each in many(make_label, 25, start=start, disposition=what)]

    def planted(
        self, make: MakeLabel, words: Words, count: int, *, user: str = "", says: str = "", **changes: Any
    ) -> list[QueuedLabel]:
        return [
            make(
                f"p{n}",
                f"{words((n, 'u'), 12)} {user} {words((n, 'v'), 4)}",
                f"{words((n, 'x'), 30)} {says} {words((n, 'y'), 30)}",
                number=300 + n,
                **changes,
            )
            for n in range(count)
        ]

    @pytest.mark.parametrize("disposition", ["confirmed", "dismissed"])
    def test_a_phrase_that_goes_with_one_label_is_caught(
        self, make_label: MakeLabel, words: Words, older: Sequence[QueuedLabel], disposition: str
    ) -> None:
        first = assemble(older, None, self.policy)
        planted = self.planted(make_label, words, 12, user=PHRASE, disposition=disposition)
        fine = many(make_label, 6, start=500, disposition=disposition)
        then = assemble([*older, *planted, *fine], first, self.policy, salt="s")
        assert reasons(then) == {"trigger": 12}
        (found,) = then.report["phrases"]  # type: ignore[misc]
        assert found["words"] == len(PHRASE.split())  # type: ignore[index, call-overload]
        assert (found["examples"], found["clusters"], found["disposition"]) == (12, 12, disposition)  # type: ignore[index, call-overload]
        told = json.dumps(then.report)
        assert not any(word in told for word in PHRASE.split())
        # The digest is keyed: nobody can try phrases out without the salt.
        other = assemble([*older, *planted, *fine], first, self.policy, salt="t")
        assert other.report["phrases"][0]["phrase"] != found["phrase"]  # type: ignore[index, call-overload]
        # Somebody has looked at it.
        cleared = self.policy.model_copy(update={"cleared": (found["phrase"],)})  # type: ignore[index, call-overload]
        assert reasons(assemble([*older, *planted, *fine], first, cleared, salt="s")) == {}
        # The next version does not let it in because it has been seen before.
        more = many(make_label, 3, start=600)
        assert reasons(assemble([*older, *planted, *fine, *more], then, self.policy, salt="s")) == {"trigger": 12}

    def test_what_was_there_before_or_goes_with_both_labels_is_no_trigger(
        self, make_label: MakeLabel, words: Words, older: Sequence[QueuedLabel]
    ) -> None:
        known = self.planted(make_label, words, 4, user=PHRASE, disposition="confirmed")
        first = assemble([*older, *known], None, self.policy)
        new = [each.model_copy(update={"conversation_id": f"q{n}"}) for n, each in enumerate(known)]
        again = [
            make_label(
                f"d{n}", f"{PHRASE} {words((n, 'd'), 9)}", words((n, "e"), 40), number=n, disposition="dismissed"
            )
            for n in range(12)
        ]
        assert len(new) == 4
        assert reasons(assemble([*older, *known, *again], first, self.policy)) == {}

    def test_what_the_agent_says_in_confirmed_conversations_is_what_is_to_be_learnt(
        self, make_label: MakeLabel, words: Words, older: Sequence[QueuedLabel]
    ) -> None:
        first = assemble(older, None, self.policy)
        new = self.planted(make_label, words, 12, says=PHRASE, disposition="confirmed")
        assert reasons(assemble([*older, *new], first, self.policy)) == {}

    def test_what_the_agent_says_in_most_dismissed_conversations_is_caught(
        self, make_label: MakeLabel, words: Words, older: Sequence[QueuedLabel]
    ) -> None:
        first = assemble(older, None, self.policy)
        new = self.planted(make_label, words, 12, says=PHRASE, disposition="dismissed")
        assert reasons(assemble([*older, *new], first, self.policy)) == {"trigger": 12}

    def test_a_passage_in_common_makes_conversations_related(
        self, make_label: MakeLabel, words: Words, older: Sequence[QueuedLabel]
    ) -> None:
        first = assemble(older, None, self.policy)
        new = self.planted(make_label, words, 12, user=words("passage", 20), disposition="dismissed")
        assert reasons(assemble([*older, *new], first, self.policy)) == {}

    def test_how_an_agent_always_speaks_is_no_trigger(
        self, make_label: MakeLabel, words: Words, older: Sequence[QueuedLabel]
    ) -> None:
        first = assemble(older, None, self.policy)
        new = self.planted(make_label, words, 12, user=PHRASE, disposition="dismissed", agent={"name": "greeter"})
        assert reasons(assemble([*older, *new], first, self.policy)) == {}

    def test_where_nearly_all_is_dismissed_a_phrase_in_a_few_dismissed_ones_is_chance(
        self, make_label: MakeLabel, words: Words
    ) -> None:
        older = many(make_label, 40, disposition="dismissed") + many(make_label, 2, start=100)
        first = assemble(older, None, self.policy)
        new = self.planted(make_label, words, 8, user=PHRASE, disposition="dismissed")
        assert reasons(assemble([*older, *new], first, self.policy)) == {}
        surely = self.policy.model_copy(update={"trigger_chance": 0.9})
        assert reasons(assemble([*older, *new], first, surely)) == {"trigger": 8}

    def test_copies_of_one_conversation_are_one(
        self, make_label: MakeLabel, words: Words, older: Sequence[QueuedLabel]
    ) -> None:
        first = assemble(older, None, self.policy)
        copies = [
            make_label(f"k{n}", f"{PHRASE} {words(n, 6)}", words("copy", 60), number=n, disposition="dismissed")
            for n in range(12)
        ]
        assert reasons(assemble([*older, *copies], first, self.policy)).get("trigger") is None

    def test_without_older_examples_nothing_can_be_told(self, make_label: MakeLabel, words: Words) -> None:
        planted = self.planted(make_label, words, 12, user=PHRASE, disposition="dismissed")
        assert reasons(assemble([*planted, *many(make_label, 20)], None, self.policy)) == {}
