"""What a training run sees: no scenario on both sides, no source drowning the others, twins together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.windows import Windower
from retrain.dataset import Dropout, Unit, balanced_weights, cut, sample, split, summary, training_units
from retrain.known_sources import MOST_EXPECTED, expected_of_sources
from retrain.sources import LABEL_TRUST, LabelledConversation

MakeLabelled = Callable[..., LabelledConversation]


def names(conversations: list[LabelledConversation]) -> list[str]:
    return [conversation.event.event_id for conversation in conversations]


@settings(max_examples=30, deadline=None)
@given(
    groups=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=25),
    held_out=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_no_group_is_on_both_sides_and_nothing_is_lost(
    make_labelled: MakeLabelled, groups: list[tuple[str, int]], held_out: float, seed: int
) -> None:
    everything = [make_labelled(f"c{n}", source=source, group=str(group)) for n, (source, group) in enumerate(groups)]
    to_fit, kept = split(everything, held_out=held_out, seed=seed)
    sides = [{(conversation.source, conversation.group) for conversation in side} for side in (to_fit, kept)]
    assert not sides[0] & sides[1]
    assert sorted(names(to_fit) + names(kept)) == sorted(names(everything))
    again = split(reversed(everything), held_out=held_out, seed=seed)
    assert sorted(names(again[1])) == sorted(names(kept))


def test_the_held_out_share_is_about_what_was_asked_for_and_another_seed_holds_out_others(
    make_labelled: MakeLabelled,
) -> None:
    everything = [make_labelled(f"c{n}") for n in range(1000)]
    assert [len(split(everything, held_out=share, seed=1)[1]) for share in (0.0, 1.0)] == [0, 1000]
    one, other = (names(split(everything, held_out=0.2, seed=seed)[1]) for seed in (1, 2))
    assert 150 < len(one) < 250
    assert set(one) != set(other)


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=3),
    per_source=st.integers(0, 12),
    seed=st.integers(0, 99),
)
def test_a_sample_is_bounded_by_source_and_half_misaligned_where_there_are_enough(
    make_labelled: MakeLabelled, counts: list[tuple[int, int]], per_source: int, seed: int
) -> None:
    everything = [
        make_labelled(f"{source}-{side}-{n}", source=f"s{source}", misaligned=side == 0)
        for source, sides in enumerate(counts)
        for side, count in enumerate(sides)
        for n in range(count)
    ]
    chosen = sample(everything, per_source=per_source, rng=np.random.default_rng(seed))
    assert len(set(names(chosen))) == len(chosen)
    sizes = Counter((conversation.source, conversation.misaligned) for conversation in chosen)
    for source, (misaligned, aligned) in enumerate(counts):
        taken = sizes[f"s{source}", True], sizes[f"s{source}", False]
        assert min(per_source, misaligned + aligned) - 1 <= sum(taken) <= per_source
        if min(misaligned, aligned) >= per_source // 2:
            assert min(taken) == per_source // 2
        else:
            assert min(taken) == min(misaligned, aligned)  # all of the rarer side
    again = sample(everything, per_source=per_source, rng=np.random.default_rng(seed))
    assert names(again) == names(chosen)


def test_conversations_without_a_word_of_the_agent_are_left_out(
    make_labelled: MakeLabelled, windower: Windower
) -> None:
    conversations = [make_labelled("empty"), make_labelled("a", "hi", "ho"), make_labelled("asked", "hi")]
    assert [item.conversation.event.event_id for item in cut(conversations, windower)] == ["a"]


STORY = "the quick brown fox jumps over the lazy dog and runs away from it again. " * 6
NONE_DROPPED = Dropout(context=0, reasoning=0)


def units_of(conversations: list[LabelledConversation], windower: Windower, *, per_bag: int = 99) -> list[Unit]:
    rng = np.random.default_rng(1)
    return training_units(conversations, windower, per_bag=per_bag, dropout=NONE_DROPPED, rng=rng)


def test_a_conversation_is_a_bag_of_bounded_size_with_its_label_and_trust(
    make_labelled: MakeLabelled, windower: Windower
) -> None:
    conversations = [
        make_labelled("long", STORY, STORY, STORY, source="gptfuzz", misaligned=True),
        make_labelled("short", STORY, "yes", source="onpolicy_deception"),
    ]
    long, short = units_of(conversations, windower, per_bag=2)
    assert [len(unit.bags[0].windows) for unit in (long, short)] == [2, 1]
    assert [unit.bags[0].labels[LABELS.index(MISALIGNMENT)] for unit in (long, short)] == [1, 0]
    assert [unit.bags[0].weight for unit in (long, short)] == pytest.approx(
        [LABEL_TRUST["gptfuzz"], LABEL_TRUST["onpolicy_deception"]]
    )
    told = summary([long, short])
    assert (told["windows"], told["bags"]) == (3, 2)
    assert told["by_label"] == {**dict.fromkeys(LABELS, 0), MISALIGNMENT: 1}


def test_where_turns_are_known_a_bag_holds_these_alone(make_labelled: MakeLabelled, windower: Windower) -> None:
    conversation = make_labelled("c", "go", STORY, "and", "I wreck it", "and", STORY, misaligned=True)
    (unit,) = units_of([replace(conversation, turns=frozenset({3}))], windower)
    windows = unit.bags[0].windows
    assert 0 < len(windows) < len(next(cut([conversation], windower)).windows)
    assert all(3 in {piece.message_index for piece in window.pieces} for window in windows)


def test_twins_are_one_unit_with_the_misaligned_one_first(make_labelled: MakeLabelled, windower: Windower) -> None:
    twins = [
        replace(make_labelled(name, "go", name, group="g", misaligned=name == "bad"), contrasted=True)
        for name in ("good", "bad")
    ]
    (unit,) = units_of(twins, windower)
    assert unit.contrasted
    assert [bag.labels[LABELS.index(MISALIGNMENT)] for bag in unit.bags] == [1, 0]


def test_a_pair_that_is_shown_several_times_is_a_pair_each_time(
    make_labelled: MakeLabelled, windower: Windower
) -> None:
    twins = [
        replace(make_labelled(name, "go", name, group="g", misaligned=name == "bad"), contrasted=True)
        for name in ("good", "bad")
    ]
    units = units_of(twins * 3, windower)
    assert len(units) == 3
    assert all(unit.contrasted for unit in units)
    assert all([bag.labels[LABELS.index(MISALIGNMENT)] for bag in unit.bags] == [1, 0] for unit in units)


@pytest.mark.parametrize(("pairs", "kept"), [(80, 20), (24, 9), (10, 5), (1, 1)])
def test_of_each_category_of_pairs_enough_are_held_out(make_labelled: MakeLabelled, pairs: int, kept: int) -> None:
    def twin(number: int, *, misaligned: bool) -> LabelledConversation:
        name = f"p{number}-{misaligned}"
        labels = np.zeros(len(LABELS), dtype=np.float32)
        labels[LABELS.index("coercion")] = misaligned
        return replace(make_labelled(name, "go", name, group=f"p{number}"), contrasted=True, labels=labels)

    everything = [twin(number, misaligned=side) for number in range(pairs) for side in (True, False)]
    to_fit, held_out = split(everything, held_out=0.25, seed=3)
    groups = Counter(conversation.group for conversation in held_out)
    assert set(groups.values()) <= {2}
    assert len(groups) == kept
    assert len(to_fit) + len(held_out) == 2 * pairs
    assert split(everything, held_out=0, seed=3)[1] == []


def test_weights_even_out_length_within_a_source(make_labelled: MakeLabelled) -> None:
    lengths = [(10, True)] * 9 + [(10, False)] * 3 + [(900, True)] * 2 + [(900, False)] * 6
    conversations = [
        make_labelled(f"c{n}", "x", "y" * length, misaligned=misaligned)
        for n, (length, misaligned) in enumerate(lengths)
    ]
    weights = balanced_weights(conversations)
    for length in (10, 900):
        sides = [
            sum(w for w, each in zip(weights, lengths, strict=True) if each == (length, misaligned))
            for misaligned in (True, False)
        ]
        assert sides[0] == pytest.approx(sides[1])


@given(misaligned=st.lists(st.booleans(), min_size=1, max_size=60))
@settings(max_examples=30, deadline=None)
def test_what_a_source_alone_tells_is_its_log_odds_within_limits(
    make_labelled: MakeLabelled, misaligned: list[bool]
) -> None:
    mine = [make_labelled(f"c{n}", "x", source="mine", misaligned=each) for n, each in enumerate(misaligned)]
    turned = [make_labelled(f"t{n}", "x", source="turned", misaligned=not each) for n, each in enumerate(misaligned)]
    expected = expected_of_sources([*mine, *turned])
    overall = [expected[source][LABELS.index(MISALIGNMENT)] for source in ("mine", "turned")]
    assert overall[0] == pytest.approx(-overall[1], abs=1e-6)
    assert np.sign(overall[0]) == np.sign(2 * sum(misaligned) - len(misaligned))
    assert abs(overall[0]) <= MOST_EXPECTED  # a label that contradicts its source still teaches


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_dropout_takes_words_and_keeps_places(make_labelled: MakeLabelled, chance: float) -> None:
    event = make_labelled("c", "ask", "answer", "ask", "answer").event
    shown = Dropout(context=chance, reasoning=chance)(event, np.random.default_rng(1))
    assert [message.role for message in shown.messages] == [message.role for message in event.messages]
    assert [bool(message.parts) for message in shown.messages] == [chance == 0.0, True] * 2
    assert shown.messages[1] == event.messages[1]
