from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detectors.errors import BundleError
from detectors.tokens import MAX_CHARS_AT_ONCE, TextTokenizer, TokenizedText

# BERT's normaliser drops control characters, marks (accents) and U+FFFD: these have no token to be in.
LEGIBLE = st.characters(codec="utf-8", exclude_categories=("C", "M"), exclude_characters="\ufffd")


def tokenize(tokenizer: TextTokenizer, text: str) -> TokenizedText:
    (tokens,) = tokenizer.tokenize([text])
    return tokens


def covered(tokens: TokenizedText, length: int) -> set[int]:
    spans = zip(tokens.start.tolist(), tokens.end.tolist(), strict=True)
    return {character for start, end in spans for character in range(start, min(end, length))}


@given(st.text(LEGIBLE))
@example("a" * 500)
@example("İstanbul ﬁn ½ 한국어 日本語 \U0001f600")
def test_every_legible_character_is_in_a_token(tokenizer: TextTokenizer, text: str) -> None:
    legible = {index for index, character in enumerate(text) if not character.isspace()}
    assert covered(tokenize(tokenizer, text), len(text)) >= legible


@given(st.text(st.characters(codec="utf-8")))
def test_offsets_select_characters_inside_the_text_in_order(tokenizer: TextTokenizer, text: str) -> None:
    tokens = tokenize(tokenizer, text)
    assert len(tokens.ids) == len(tokens.start) == len(tokens.end)
    assert (tokens.start >= 0).all()
    assert (tokens.start < tokens.end).all()
    assert (tokens.end <= len(text)).all()
    assert (np.diff(tokens.start) >= 0).all()


@pytest.mark.parametrize("text", ["", " \n\t ", "\0\0", "\u200b"])
def test_text_with_nothing_to_read_has_no_tokens(tokenizer: TextTokenizer, text: str) -> None:
    assert len(tokenize(tokenizer, text).ids) == 0


def test_offsets_count_in_the_text_as_given_before_normalisation(tokenizer: TextTokenizer) -> None:
    text = "\u200b\u200b CAFÉ\u0301 \U0001f600 end"
    tokens = tokenize(tokenizer, text)
    assert text[tokens.start[-1] : tokens.end[-1]] == "end"
    assert text[tokens.start[0] : tokens.end[0]].startswith("CAF")


def test_a_long_text_has_the_tokens_of_its_words_wherever_it_is_cut(tokenizer: TextTokenizer) -> None:
    words = MAX_CHARS_AT_ONCE // 2
    text = "stop now " * words
    tokens = tokenize(tokenizer, text)
    assert tokens.ids.tolist() == tokenizer.plain("stop now").tolist() * words
    assert {text[start:end] for start, end in zip(tokens.start, tokens.end, strict=True)} == {"stop", "now"}


def test_a_long_text_without_spaces_is_covered_to_its_end(tokenizer: TextTokenizer) -> None:
    length = 2 * MAX_CHARS_AT_ONCE + 7
    tokens = tokenize(tokenizer, "x" * length)
    assert len(covered(tokens, length)) == length


@given(st.lists(st.text(max_size=8), max_size=4))
@example(["a", "stop " * (MAX_CHARS_AT_ONCE // 2), "", "z"])
def test_texts_together_have_the_tokens_of_each_alone(tokenizer: TextTokenizer, texts: list[str]) -> None:
    for text, together in zip(texts, tokenizer.tokenize(texts), strict=True):
        alone = tokenize(tokenizer, text)
        np.testing.assert_array_equal(together.ids, alone.ids)
        np.testing.assert_array_equal(together.start, alone.start)
        np.testing.assert_array_equal(together.end, alone.end)


def test_no_texts_have_no_tokens(tokenizer: TextTokenizer) -> None:
    assert tokenizer.tokenize([]) == []


def test_special_tokens_in_a_text_are_text(tokenizer: TextTokenizer) -> None:
    tokens = tokenize(tokenizer, "[SEP] [CLS] [PAD] [MASK]")
    assert not {tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id} & set(tokens.ids.tolist())
    assert [tokenizer.vocabulary[token] for token in tokens.ids[:3]] == ["[", "sep", "]"]


def test_the_vocabulary_is_in_the_order_of_the_ids(tokenizer: TextTokenizer) -> None:
    vocabulary = tokenizer.vocabulary
    assert vocabulary[tokenizer.cls_id] == "[CLS]"
    assert vocabulary[tokenizer.sep_id] == "[SEP]"
    assert vocabulary[tokenizer.pad_id] == "[PAD]"
    assert [vocabulary[token] for token in tokenizer.plain("hello there")] == ["hello", "there"]


@pytest.mark.parametrize(
    "definition",
    [
        b"",
        b"\xff",
        b"{}",
        b"not a tokenizer",
        b'{"version": "1.0", "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0}}}',
    ],
)
def test_what_is_no_tokenizer_is_a_bundle_error(definition: bytes) -> None:
    with pytest.raises(BundleError, match="tokenizer"):
        TextTokenizer(definition)
