from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.normalisation import fold_lookalikes, is_legible


@given(st.text())
def test_folding_keeps_the_length_and_is_done_once(text: str) -> None:
    folded = fold_lookalikes(text)
    assert len(folded) == len(text)
    assert fold_lookalikes(folded) == folded


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("\u0430ttack now", "attack now"),  # Cyrillic a
        ("de\u04cfete", "de\u04cfete"),  # a letter that is not in the table
        ("s\u0443st\u0435m pr\u043emрt", "system prompt"),
        ("привет мир", "привет мир"),
        ("ΑΒΓ Ελλάδα", "ΑΒΓ Ελλάδα"),
        ("testЖ", "testЖ"),
        ("plain", "plain"),
    ],
)
def test_only_words_that_pass_for_latin_are_folded(text: str, folded: str) -> None:
    assert fold_lookalikes(text) == folded


@pytest.mark.parametrize("text", ["", " \n\t", "\0\0", "\u200b\u2060\ufeff", "\U000e0041\ufe0f"])
def test_what_nobody_can_see_is_not_legible(text: str) -> None:
    assert not is_legible(text)
    assert is_legible(f"{text}x")
