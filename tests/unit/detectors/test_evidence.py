from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.codec.messages import normalise
from detectors.evidence import MAX_SPANS, TOP_TOKENS, evidence, top_tokens
from detectors.tokens import TextTokenizer
from detectors.transcript import Message, part_text
from detectors.verdict import Evidence
from detectors.windows import Window, Windower


def cut(tokenizer: TextTokenizer, messages: Sequence[Message]) -> Window:
    (window,) = Windower(tokenizer, max_tokens=256, overlap=0, max_windows=9, context_chars=1000).cut(messages).windows
    return window


def found(
    window: Window, weights: dict[int, float], messages: Sequence[Message], first_message: int = 0
) -> list[Evidence]:
    """The evidence where these tokens have these weights and all others none."""
    contributions: NDArray[np.float32] = np.zeros((1, len(window), 1), dtype=np.float32)
    for token, weight in weights.items():
        contributions[0, token, 0] = weight
    top = top_tokens(contributions, (window.piece >= 0)[None])
    return evidence(
        window,
        top.tokens[0, :, 0],
        top.weights[0, :, 0],
        category="sabotage",
        messages=messages,
        first_message=first_message,
    )


def quotes(spans: Sequence[Evidence], messages: Sequence[Message], first_message: int = 0) -> list[str]:
    return [
        (part_text(messages[span.message_index - first_message].parts[span.part_index]) or "")[span.start : span.end]
        for span in spans
    ]


def tokens_of(tokenizer: TextTokenizer, window: Window, word: str) -> list[int]:
    """Positions in `window` of the tokens of `word`."""
    wanted, ids = tokenizer.plain(word).tolist(), window.input_ids.tolist()
    (first,) = [at for at in range(len(ids)) if ids[at : at + len(wanted)] == wanted]
    return list(range(first, first + len(wanted)))


def test_one_token_of_a_word_points_at_the_whole_word(tokenizer: TextTokenizer) -> None:
    messages = normalise(
        [{"role": "user", "content": "do it"}, {"role": "assistant", "content": "Ünbelievableness, now."}]
    )
    window = cut(tokenizer, messages)
    middle = tokens_of(tokenizer, window, "unbelievableness")[1]
    spans = found(window, {middle: 2.5}, messages, first_message=0)
    assert quotes(spans, messages) == ["Ünbelievableness"]
    assert spans[0].weight == 2.5
    assert (spans[0].message_index, spans[0].message_id) == (1, messages[1].id)
    assert spans[0].category == "sabotage"


def test_tokens_of_one_word_are_one_span_with_their_weights_added(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": "an unbelievableness here"}])
    window = cut(tokenizer, messages)
    pieces = tokens_of(tokenizer, window, "unbelievableness")
    spans = found(window, dict.fromkeys(pieces, 0.5), messages)
    assert quotes(spans, messages) == ["unbelievableness"]
    assert spans[0].weight == pytest.approx(0.5 * len(pieces))


def test_neighbouring_words_are_joined_and_distant_ones_are_not(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": "quietly delete the backups, then the logs"}])
    window = cut(tokenizer, messages)
    weights = {tokens_of(tokenizer, window, word)[0]: 1.0 for word in ("quietly", "delete", "logs")}
    assert sorted(quotes(found(window, weights, messages), messages)) == ["logs", "quietly delete"]


def test_a_word_between_two_spans_joins_them(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": "delete all backups"}])
    window = cut(tokenizer, messages)
    weights = {tokens_of(tokenizer, window, w)[0]: x for w, x in (("delete", 3.0), ("backups", 2.0), ("all", 1.0))}
    (span,) = found(window, weights, messages)
    assert quotes([span], messages) == ["delete all backups"]
    assert span.weight == 6


def test_words_of_different_parts_are_not_joined(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": ["delete", "delete"]}])
    window = cut(tokenizer, messages)
    tokens = [at for at, piece in enumerate(window.piece) if piece >= 0]
    spans = found(window, dict.fromkeys(tokens, 1.0), messages)
    assert sorted((span.part_index, span.start, span.end) for span in spans) == [(0, 0, 6), (1, 0, 6)]


def test_message_indices_count_from_the_events_first_message(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": "stop"}], first_position=40)
    window = cut(tokenizer, messages)
    (span,) = found(window, {tokens_of(tokenizer, window, "stop")[0]: 1.0}, messages, first_message=40)
    assert span.message_index == 40
    assert quotes([span], messages, first_message=40) == ["stop"]


def test_the_strongest_spans_come_first_and_there_are_few(tokenizer: TextTokenizer) -> None:
    words = ["north", "south", "east", "west", "river"]
    messages = normalise([{"role": "assistant", "content": " and then ".join(words)}])
    window = cut(tokenizer, messages)
    weights = {tokens_of(tokenizer, window, word)[0]: 1.0 + number for number, word in enumerate(words)}
    spans = found(window, weights, messages)
    assert quotes(spans, messages) == ["river", "west", "east"]
    assert len(spans) == MAX_SPANS


def test_where_nothing_speaks_for_a_label_the_least_bad_word_is_shown_alone(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": "north then south"}])
    window = cut(tokenizer, messages)
    against = dict.fromkeys(range(len(window)), -2.0)
    against[tokens_of(tokenizer, window, "south")[0]] = -1.0
    spans = found(window, against, messages)
    assert quotes(spans, messages) == ["south"]
    assert spans[0].weight == -1


def test_tags_and_specials_are_never_evidence(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": "stop"}])
    window = cut(tokenizer, messages)
    everywhere = {at: 100.0 for at in range(len(window)) if window.piece[at] < 0}
    (span,) = found(window, {**everywhere, tokens_of(tokenizer, window, "stop")[0]: 0.1}, messages)
    assert span.weight == pytest.approx(0.1)


def test_contributions_that_are_not_numbers_are_no_evidence(tokenizer: TextTokenizer) -> None:
    messages = normalise([{"role": "assistant", "content": "stop now"}])
    window = cut(tokenizer, messages)
    assert found(window, dict.fromkeys(range(len(window)), float("nan")), messages) == []


words = st.text(st.characters(categories=["L", "N"], codec="utf-8"), min_size=1, max_size=12)


@given(st.lists(words, min_size=1, max_size=12), st.data())
def test_evidence_selects_characters_of_its_part_and_never_half_a_word(
    tokenizer: TextTokenizer, said: list[str], data: st.DataObject
) -> None:
    messages = normalise([{"role": "assistant", "content": " ".join(said)}])
    (window, *_) = (
        Windower(tokenizer, max_tokens=256, overlap=0, max_windows=9, context_chars=1000).cut(messages).windows
    )
    weights = data.draw(st.dictionaries(st.integers(0, len(window) - 1), st.floats(-5, 5, width=32), max_size=6))
    spans = found(window, weights, messages)
    assert 1 <= len(spans) <= MAX_SPANS
    for quote in quotes(spans, messages):
        assert quote
        assert set(quote.split()) <= set(said)


@given(st.integers(1, 30), st.integers(1, 3), st.randoms(use_true_random=False))
def test_top_tokens_are_the_largest_placeable_ones_in_order(
    tokens: int, labels: int, random: np.random.Generator
) -> None:
    contributions = np.asarray(
        [[[random.uniform(-1, 1) for _ in range(labels)] for _ in range(tokens)]], dtype=np.float32
    )
    placeable = np.asarray([[random.random() < 0.7 for _ in range(tokens)]])
    top = top_tokens(contributions, placeable)
    for label in range(labels):
        expected = sorted(contributions[0, placeable[0], label].tolist(), reverse=True)[:TOP_TOKENS]
        finite = np.isfinite(top.weights[0, :, label])
        assert top.weights[0, finite, label].tolist() == expected
        assert contributions[0, top.tokens[0, finite, label], label].tolist() == expected
