"""What a training run sees: no scenario on both sides, no source drowning the others, the agent's words only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.windows import Speaker, Windower
from retrain.dataset import CutConversation, cut, sample, split, training_windows
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


def test_conversations_without_a_word_are_left_out(make_labelled: MakeLabelled, windower: Windower) -> None:
    conversations = [make_labelled("empty"), make_labelled("a", "hi"), make_labelled("blank", "", "")]
    assert [item.conversation.event.event_id for item in cut(conversations, windower)] == ["a"]


@pytest.fixture
def cut_conversations(make_labelled: MakeLabelled, windower: Windower) -> list[CutConversation]:
    story = "the quick brown fox jumps over the lazy dog and runs away from it again. " * 6
    return list(
        cut(
            [
                make_labelled("long", story, story, story, source="gptfuzz", misaligned=True),
                make_labelled("mostly user", story * 2, "yes", source="onpolicy_deception"),
                make_labelled("user alone", story, misaligned=True),
            ],
            windower,
        )
    )


def test_training_windows_are_those_in_which_the_agent_speaks(cut_conversations: list[CutConversation]) -> None:
    agent = {Speaker.ASSISTANT, Speaker.REASONING, Speaker.TOOL_CALL}
    everything = [window for item in cut_conversations for window in item.windows]
    data = training_windows(cut_conversations, per_conversation=100, rng=np.random.default_rng(1))
    expected = [window for window in everything if any(piece.speaker in agent for piece in window.pieces)]
    assert 1 < len(data.windows) < len(everything)
    assert [id(window) for window in data.windows] == [id(window) for window in expected]


def test_training_windows_are_bounded_and_have_label_and_trust_of_their_conversation(
    cut_conversations: list[CutConversation],
) -> None:
    data = training_windows(cut_conversations, per_conversation=2, rng=np.random.default_rng(1))
    assert len(data.windows) == 3  # two of the long one, the only one of the next, none of the last
    overall = data.labels[:, LABELS.index(MISALIGNMENT)]
    assert overall.tolist() == [1, 1, 0]
    assert data.weights.tolist() == pytest.approx([LABEL_TRUST["gptfuzz"]] * 2 + [LABEL_TRUST["onpolicy_deception"]])
    assert data.summary()["windows"] == 3
    assert data.summary()["by_label"] == {**dict.fromkeys(LABELS, 0), MISALIGNMENT: 2}


def test_the_same_seed_draws_the_same_windows(cut_conversations: list[CutConversation]) -> None:
    one, other = (
        training_windows(cut_conversations, per_conversation=1, rng=np.random.default_rng(5)).windows for _ in range(2)
    )
    assert [id(window) for window in one] == [id(window) for window in other]
