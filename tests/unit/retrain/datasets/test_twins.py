"""What is nearly the same is found, and what is not is left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.codec import event_from
from detectors.transcript import TranscriptEvent

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")

from retrain.datasets.reading import Reader, Reading
from retrain.datasets.twins import components, equal, resembling, resembling_of_kind, signature

pytestmark = pytest.mark.retrain
Words = Callable[..., str]


def conversation(*messages: dict[str, object]) -> TranscriptEvent:
    facts = {"event_id": "e", "conversation_id": "c", "occurred_at": "2026-01-01T00:00:00Z"}
    return event_from({**facts, "messages": list(messages)})  # type: ignore[dict-item]


def said(text: str) -> Reading:
    return Reader()(conversation({"role": "assistant", "content": text}))


def resemblance(one: str, other: str) -> float:
    first, second = (signature(said(text).said) for text in (one, other))
    assert first is not None
    assert second is not None
    return float((first == second).mean())


def test_resemblance_is_the_share_of_shingles_in_common(words: Words) -> None:
    one, other = words(1, 400).split(), words(2, 400).split()
    for kept in (400, 300, 200, 0):
        mixed = one[:kept] + other[kept:]
        exact = max(0, kept - 2) / (2 * 398 - max(0, kept - 2))
        assert resemblance(" ".join(one), " ".join(mixed)) == pytest.approx(exact, abs=0.12)


def test_case_punctuation_look_alikes_and_numbers_do_not_tell_texts_apart(words: Words) -> None:
    text = words("x", 30)
    assert resemblance(text, text.upper().replace(" ", ", ")) == 1.0
    assert resemblance(f"{text} paid 120 of 7", f"{text} p\u0430id 9 of 4711") == 1.0


def test_short_texts_resemble_nothing() -> None:
    assert signature(said("Yes, done.").said) is None
    assert list(resembling([None, None], 0.6)) == []
    assert list(resembling_of_kind([None, None], ["k", "k"], 0.3)) == []


def test_the_agents_words_are_what_it_says_thinks_and_does() -> None:
    event = conversation(
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "help me"},
        {
            "role": "assistant",
            "content": "sure",
            "reasoning": "why not",
            "tool_calls": [{"name": "f", "arguments": "go"}],
        },
        {"role": "tool", "content": "went", "tool_call_id": "1"},
        {"role": "critic", "content": "good"},  # nobody knows this role: it may be the agent
    )
    reading = Reader()(event)
    assert len(reading.said) == len(["why", "not", "sure", "go", "good"])
    assert len(reading.words) == len(["help", "me", "why", "not", "sure", "go", "went", "good"])
    assert reading.own.tolist() == [False] * 2 + [True] * 4 + [False, True]


def test_letters_of_scripts_without_spaces_are_words() -> None:
    reading = said("我已经把它停用了")
    assert len(reading.said) == 8
    assert reading.language == "zh"


def test_exact_minds_who_says_what_and_white_space_not_at_all() -> None:
    one = conversation({"role": "user", "content": "a  b"}, {"role": "assistant", "content": "c"})
    same = conversation({"role": "user", "content": " a b\n"}, {"role": "assistant", "content": "c"})
    turned = conversation({"role": "assistant", "content": "a b"}, {"role": "user", "content": "c"})
    read = [Reader()(event).exact for event in (one, same, turned)]
    assert read[0] == read[1] != read[2]


def test_twins_are_found_among_strangers(words: Words) -> None:
    texts = [words(n, 80) for n in range(60)]
    texts += [f"{text.rsplit(' ', 6)[0]} {words((n, 'end'), 6)}" for n, text in enumerate(texts[:20])]
    signatures = [signature(said(text).said) for text in texts]
    assert sorted(resembling(signatures, 0.6)) == [(n, 60 + n) for n in range(20)]
    kinds = ["odd" if n % 2 else None for n in range(80)]
    assert sorted(resembling_of_kind(signatures, kinds, 0.3)) == [(n, 60 + n) for n in range(1, 20, 2)]


def test_a_thousand_copies_cost_no_more_pairs_than_copies(words: Words) -> None:
    copies = [signature(said(f"{words('same', 200)} {n % 3}x").said) for n in range(120)]
    pairs = list(resembling(copies, 0.6))
    assert len(pairs) < 360
    assert set(components(120, pairs)) == {0}


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30))
def test_components_are_what_pairs_lead_to(pairs: list[tuple[int, int]]) -> None:
    found = components(20, pairs)
    reach = np.eye(20, dtype=bool)
    for one, other in pairs:
        reach[one, other] = reach[other, one] = True
    for _ in range(5):
        reach = reach @ reach
    assert found == [int(np.flatnonzero(row)[0]) for row in reach]


def test_equal_keys_are_paired_with_their_first() -> None:
    assert list(equal(["a", None, "b", "a", None, "a"])) == [(0, 3), (0, 5)]
