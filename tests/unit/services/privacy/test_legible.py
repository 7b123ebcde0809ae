"""What recognisers read: the same text in plain characters, each of which stands at a known place in the original."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.privacy.legible import legible

TRICKY = st.text(alphabet=st.sampled_from('ab1 @.\\nu0041/"\u200b\u00ad１\u0430é\U0001d7d8\U000e0041\n'))


@given(st.text() | TRICKY)
def test_places_are_in_order_and_inside_the_original(text: str) -> None:
    read = legible(text)
    places = [read.original(index, index + 1) for index in range(len(read.text))]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    if places:
        assert read.original(0, len(places)) == (places[0][0], places[-1][1])


@given(st.text(alphabet=st.characters(max_codepoint=127, exclude_characters="\\")))
def test_plain_text_is_read_as_it_is(text: str) -> None:
    assert legible(text).text == text


@given(st.text() | TRICKY)
def test_plain_characters_stand_for_themselves(text: str) -> None:
    read = legible(text)
    for index, char in enumerate(read.text):
        start, end = read.original(index, index + 1)
        original = text[start:end]
        assert original == char or not original.isascii() or original.startswith("\\")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("an\u200bna", "anna"),
        ("\ufeff４１１１", "4111"),
        ("\u0664\u0661", "41"),
        ("\U0001d7d2\U0001d7cf", "41"),
        ("a\u2011b\u00a0c\u2212d", "a-b c-d"),
        ("\u0430nna", "anna"),
        ("a\uff20b\uff0ec", "a@b.c"),
        (r"a\nb\tc\/d", "a\nb\tc/d"),
        (r"a\\nb\\\\nc", "a\nb\nc"),
        (r"\u0061\u00e9\u2028\ud83d", "aé  "),
        (r"say \"hi\" \x", r"say \"hi\" \x"),
        ("привет", "привет"),
        ("", ""),
        ("\u200b", ""),
    ],
)
def test_what_is_read(text: str, read: str) -> None:
    assert legible(text).text == read


def test_an_escape_is_one_character_and_stands_for_all_of_its_own() -> None:
    text = r"a\\u0062c"
    read = legible(text)
    assert read.text == "abc"
    assert read.original(1, 2) == (1, 8)
    assert read.original(0, 3) == (0, len(text))


def test_what_is_invisible_inside_belongs_to_it_and_what_is_around_does_not() -> None:
    read = legible("\u200ba\u200b\u200bb\u200b")
    assert read.text == "ab"
    assert read.original(0, 2) == (1, 5)
    assert read.original(0, 1) == (1, 2)
