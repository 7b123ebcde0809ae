from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.classifier import Batcher
from detectors.codec.messages import normalise
from detectors.features import FEATURE_NAMES, StructuralFeatures
from detectors.tokens import TextTokenizer
from detectors.windows import Speaker, Window, Windower

contents = st.lists(
    st.text(max_size=60) | st.lists(st.sampled_from(["12", "!", "stop", "unbelievableness"])).map(" ".join), max_size=12
)


def cut(tokenizer: TextTokenizer, said: list[str]) -> tuple[Window, ...]:
    roles = ("system", "user", "assistant", "tool")
    messages = normalise([{"role": roles[index % 4], "content": content} for index, content in enumerate(said)])
    return Windower(tokenizer, max_tokens=40, overlap=4, max_windows=50, context_chars=1000).cut(messages).windows


@given(contents)
def test_features_are_shares_one_row_a_window(
    tokenizer: TextTokenizer, features: StructuralFeatures, said: list[str]
) -> None:
    windows = cut(tokenizer, said)
    rows = features(windows)
    assert rows.shape == (len(windows), len(FEATURE_NAMES))
    assert rows.dtype == np.float32
    assert ((rows >= 0) & (rows <= 1)).all()


@given(contents)
def test_who_speaks_adds_up_to_one(tokenizer: TextTokenizer, features: StructuralFeatures, said: list[str]) -> None:
    rows = features(cut(tokenizer, said))
    np.testing.assert_allclose(rows[:, : len(Speaker)].sum(axis=1), 1, rtol=1e-5)


@given(contents, st.integers(1, 5))
def test_padding_and_batch_mates_change_no_feature(
    tokenizer: TextTokenizer, features: StructuralFeatures, said: list[str], size: int
) -> None:
    windows = cut(tokenizer, said)
    for group, batch in Batcher(features, pad_id=tokenizer.pad_id, size=size).batches(windows):
        for row, batched in zip(group, batch.features, strict=True):
            np.testing.assert_array_equal(features([windows[row]])[0], batched)


def test_columns_measure_what_they_are_named_for(
    tokenizer: TextTokenizer, features: StructuralFeatures, make_window: Callable[..., Window]
) -> None:
    tokens = [tokenizer.vocabulary.index(token) for token in ("stop", "stop", "##ing", "7", "!")]
    (row,) = features([make_window(tokens, speaker=Speaker.REASONING)])
    named = dict(zip(FEATURE_NAMES, row.tolist(), strict=True))
    assert {name: round(value, 4) for name, value in named.items() if value} == {
        "share_reasoning": 1.0,
        "distinct_tokens": 0.8,
        "word_continuations": 0.2,
        "digits": 0.2,
        "punctuation": 0.2,
    }


def test_repeating_a_text_does_not_make_it_look_longer(
    tokenizer: TextTokenizer, features: StructuralFeatures, make_window: Callable[..., Window]
) -> None:
    tokens = tokenizer.plain("please stop 7 times !").tolist()
    once, twice = features([make_window(tokens), make_window(tokens * 2)])
    different = {name for name, a, b in zip(FEATURE_NAMES, once, twice, strict=True) if not np.isclose(a, b)}
    assert different == {"distinct_tokens"}


def test_no_windows_have_no_rows(features: StructuralFeatures) -> None:
    assert features([]).shape == (0, len(FEATURE_NAMES))
