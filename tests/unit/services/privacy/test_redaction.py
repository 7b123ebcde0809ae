"""Masking: every offset holds, JSON stays JSON, what overlaps is one, and a second time changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.privacy.errors import RecogniserError
from services.privacy.recognisers import built_in
from services.privacy.redaction import MASK, MAX_NAME_CHARS, Redactor, redact

OURS = built_in(("US", "GB", "DE"))
PRIVATE = st.sampled_from(
    [
        "anna@example.org",
        "+49 30 901820",
        "(650) 253-0000",
        "4111 1111 1111 1111",
        "4111111111111111",
        "DE89 3704 0044 0532 0130 00",
        "password: hunter2",
        'token="abcdef123456"',
        "https://me:secret1@host/x",
        "sk-" + "a1B2" * 8,
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
    ]
)
TEXTS = st.lists(st.text(max_size=8) | PRIVATE | st.sampled_from(list("\\\"'@.:= \n█\u200b+0")), max_size=8).map(
    "".join
)
JSON = st.recursive(
    TEXTS | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


class Words:
    """Finds what an expression finds."""

    def __init__(self, expression: str, kind: str = "word") -> None:
        self.kind = kind
        self._expression = re.compile(expression)

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        return (found.span() for found in self._expression.finditer(text))


class Fixed:
    def __init__(self, *spans: Any, kind: str = "fixed") -> None:
        self.kind = kind
        self._spans = spans

    def find(self, text: str) -> Iterable[tuple[int, int]]:
        return self._spans


@given(TEXTS)
def test_offsets_hold_and_what_is_outside_of_the_spans_is_untouched(text: str) -> None:
    redacted = redact(text, OURS)
    assert len(redacted.text) == len(text)
    done = 0
    for span in redacted.spans:
        assert done <= span.start < span.end <= len(text)
        assert redacted.text[done : span.start] == text[done : span.start]
        done = span.end
    assert redacted.text[done:] == text[done:]
    kept = {mask for mask, char in zip(redacted.text, text, strict=True) if mask != char}
    assert kept <= {MASK}


@given(TEXTS | st.text())
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact(text, OURS)
    again = redact(once.text, OURS)
    assert again.text == once.text
    assert again.spans == ()


@given(JSON)
def test_what_was_json_without_numbers_still_is(value: Any) -> None:
    redacted = redact(json.dumps(value, ensure_ascii=False), OURS).text
    assert type(json.loads(redacted)) is type(value)


@given(JSON)
def test_json_inside_of_json_still_parses(value: Any) -> None:
    """As long as it is inside a string: the outer one may be cut short nowhere."""
    inner = json.dumps(value, ensure_ascii=False)
    redacted = redact(json.dumps({"body": inner}, ensure_ascii=False), OURS).text
    assert type(json.loads(json.loads(redacted)["body"])) is type(value)


@given(TEXTS, st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=4))
def test_json_survives_whatever_a_recogniser_of_one_string_finds(text: str, spans: list[tuple[int, int]]) -> None:
    written = json.dumps(text)
    inside = [(start, end) for start, end in spans if 1 <= start < end < len(written)]

    class Sloppy:
        kind = "sloppy"

        def find(self, read: str) -> Iterable[tuple[int, int]]:
            return [(start, end) for start, end in inside if end < len(read)]

    assert isinstance(json.loads(redact(written, [Sloppy()]).text), str)


def test_a_bare_number_that_is_masked_does_not_parse_any_more() -> None:
    redacted = redact('{"card": 4111111111111111}', OURS)
    assert redacted.text == f'{{"card": {MASK * 16}}}'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('ab"cd', 'XX"XX'),
        ("ab\ncd", "XX\nXX"),
        (r"ab\ncd", r"XX\nXX"),
        (r"ab\"cd", r"XX\"XX"),
        (r"ab\\\"cd", r"XX\\\"XX"),
        (r"ab\u0041cd", "XXXXXXXXXX"),
        (r"ab\\cd", "XXXXXX"),
        ("ab\\", "XX\\"),
    ],
)
def test_quotes_line_breaks_and_short_escapes_are_spared(text: str, masked: str) -> None:
    assert redact(text, [Words(r"(?s).+")]).text == masked.replace("X", MASK)


class TestOverlaps:
    def test_they_are_one_span_of_the_longest_ones_kind(self) -> None:
        redacted = redact("abcdefgh", [Words("abc", "short"), Words("cdefg", "long")])
        assert [(span.kind, span.start, span.end) for span in redacted.spans] == [("long", 0, 7)]

    def test_the_longest_may_come_first(self) -> None:
        redacted = redact("abcdefgh", [Words("abcde", "long"), Words("efg", "short")])
        assert [(span.kind, span.start, span.end) for span in redacted.spans] == [("long", 0, 7)]

    def test_neighbours_stay_two(self) -> None:
        redacted = redact("abcdef", [Words("abc", "one"), Words("def", "other")])
        assert [(span.kind, span.start, span.end) for span in redacted.spans] == [("one", 0, 3), ("other", 3, 6)]

    def test_what_masking_lays_bare_is_masked_as_well(self) -> None:
        redacted = redact("ab cd", [Words("ab"), Words(f"{MASK} cd")])
        assert redacted.text == MASK * 5

    def test_what_never_ends_is_ended(self) -> None:
        assert MASK in redact("a" * 100, [Words(f"(?<={MASK})a|^a")]).text


class TestBrokenRecognisers:
    @pytest.mark.parametrize("span", [(0, 99), (-1, 2), (3, 2)])
    def test_outside_of_the_text_is_an_error_that_names_the_kind(self, span: tuple[int, int]) -> None:
        with pytest.raises(RecogniserError, match="'fixed'"):
            redact("private", [Fixed(span)])

    def test_its_failure_is_told_without_its_words(self) -> None:
        class Broken:
            kind = "broken"

            def find(self, text: str) -> Iterable[tuple[int, int]]:
                raise ValueError(text)

        with pytest.raises(RecogniserError) as caught:
            redact("private", [Broken()])
        assert str(caught.value) == "recogniser 'broken' failed with ValueError"
        assert caught.value.__suppress_context__

    def test_nothing_found_is_nothing(self) -> None:
        assert redact("text", [Fixed((2, 2))]).spans == ()


def test_without_recognisers_nothing_is_masked() -> None:
    assert redact("anna@example.org", ()).text == "anna@example.org"


def test_names_are_redacted_and_short() -> None:
    redactor = Redactor(OURS)
    assert redactor.name("anna@example.org") == MASK * 16
    assert redactor.name("x" * 5000) == "x" * MAX_NAME_CHARS
    assert redactor.name("x" * 250 + " anna@example.org") == "x" * 250 + " " + MASK * 5
