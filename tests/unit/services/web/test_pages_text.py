"""Texts on the page: nothing of them is lost, nothing in them is hidden, and places in them stay places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.web.pages.clipping import excerpts, windows
from services.web.pages.segments import Range, segments
from services.web.pages.visible import one_line, pieces, preview, visible

HIDDEN = "\u202e\u2066\u200b\ufeff\x00\x1b\r\u00ad\U000e0041\u3164\u2028"
texts = st.text(st.one_of(st.characters(), st.sampled_from(HIDDEN)), max_size=60)


@dataclass(frozen=True)
class Spot:
    start: int
    end: int
    kind: str = "email"


spots = st.lists(st.builds(Spot, st.integers(0, 70), st.integers(0, 70)), max_size=6)


@given(texts, st.integers(0, 1000))
def test_pieces_are_the_text(text: str, start: int) -> None:
    found = pieces(text, start)
    assert "".join(piece.text for piece in found) == text
    place = start
    for piece in found:
        assert piece.start == place
        assert piece.text
        place = piece.end
    assert all(len(piece.text) == 1 for piece in found if piece.hidden)


@given(texts)
def test_what_does_not_show_is_named(text: str) -> None:
    assert not set(HIDDEN) & set(visible(text))
    assert not set(HIDDEN) & set(preview(text, most=20) + one_line(text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("gnp.\u202eexe", "gnp.⟨U+202E⟩exe"),
        ("a\U000e0041b", "a⟨U+E0041⟩b"),
        ("\ud800", "⟨U+D800⟩"),
        ("👩‍👧 é नमस्ते می‌خواهم", "👩‍👧 é नमस्ते می‌خواهم"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
    ],
)
def test_writing_systems_and_emoji_stay_as_they_are(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_preview_is_one_short_line() -> None:
    assert preview("  one\n two\tthree  ", most=20) == "one two three"
    assert preview("word " * 100, most=9) == "word word…"
    assert preview(" " * 1000 + "far behind", most=10) == "…"


@given(texts, spots, spots)
def test_segments_are_the_text(text: str, evidence: Sequence[Spot], masks: Sequence[Spot]) -> None:
    found = segments(text, evidence, masks)
    assert "".join(segment.text for segment in found) == text
    place = 0
    for segment in found:
        assert (segment.start, segment.text != "") == (place, True)
        place = segment.end


@given(texts, spots, spots)
def test_every_character_is_marked_by_what_covers_it(
    text: str, evidence: Sequence[Spot], masks: Sequence[Spot]
) -> None:
    for segment in segments(text, evidence, masks):
        for place in range(segment.start, segment.end):
            covering = tuple(index for index, spot in enumerate(evidence) if spot.start <= place < spot.end)
            assert segment.evidence == covering
            if segment.redaction is None:
                assert not any(mask.start <= place < mask.end for mask in masks) or _overlapping(masks)


def _overlapping(masks: Sequence[Spot]) -> bool:
    ordered = sorted((mask for mask in masks if mask.start < mask.end), key=lambda mask: mask.start)
    return any(later.start < earlier.end for index, later in enumerate(ordered) for earlier in ordered[:index])


@given(texts, spots)
def test_evidence_begins_once_and_where_it_is(text: str, evidence: Sequence[Spot]) -> None:
    begun = [(index, segment.start) for segment in segments(text, evidence, []) for index in segment.begins]
    there = [(i, spot.start) for i, spot in enumerate(evidence) if spot.start < min(spot.end, len(text))]
    assert sorted(begun) == there


@given(texts, spots, spots, st.lists(st.integers(0, 60), unique=True, max_size=6))
def test_what_is_left_out_is_still_the_text(
    text: str, evidence: Sequence[Spot], masks: Sequence[Spot], ends: list[int]
) -> None:
    cut = sorted(min(end, len(text)) for end in ends[: len(ends) // 2 * 2])
    shown = [Range(start, end) for start, end in zip(cut[::2], cut[1::2], strict=True) if start < end]
    found = segments(text, evidence, masks, shown)
    assert "".join(segment.text for segment in found) == text
    seen = [place for segment in found if not segment.left_out for place in range(segment.start, segment.end)]
    assert seen == [place for part in shown for place in range(part.start, part.end)]
    begun = [index for segment in found for index in segment.begins]
    assert len(begun) == len(set(begun))


def test_a_mask_says_what_it_hides_once() -> None:
    found = segments("call ████ now", [Spot(7, 12)], [Spot(5, 9, "phone")])
    assert [(each.text, each.redaction, each.masks, each.evidence) for each in found] == [
        ("call ", None, False, ()),
        ("██", "phone", True, ()),
        ("██", "phone", False, (0,)),
        (" no", None, False, (0,)),
        ("w", None, False, ()),
    ]


@given(st.integers(0, 20_000), st.lists(st.builds(Spot, st.integers(0, 20_000), st.integers(0, 20_000)), max_size=30))
def test_excerpts_are_apart_and_show_the_first_evidence(length: int, spans: list[Spot]) -> None:
    found = excerpts(length, spans)
    assert found[0].start == 0
    assert all(0 <= part.start <= part.end <= length for part in found)
    assert all(one.end < other.start for one, other in pairwise(found))
    there = sorted((span for span in spans if span.start < min(span.end, length)), key=lambda span: span.start)
    for span in there[:12]:
        assert any(part.start <= span.start < part.end for part in found)


def test_short_texts_are_shown_whole_and_long_ones_are_not() -> None:
    assert excerpts(3_000, []) == (Range(0, 3_000),)
    assert excerpts(50_000, [Spot(40_000, 40_020)]) == (Range(0, 1_500), Range(39_700, 40_320))


@given(st.integers(-1, 3_000), st.lists(st.integers(-5, 3_100), max_size=20))
def test_windows_are_apart_and_show_the_most_important(last: int, places: list[int]) -> None:
    found = windows(last, places)
    assert all(0 <= part.start <= part.end <= last + 1 for part in found)
    assert all(one.end < other.start for one, other in pairwise(found))
    assert sum(part.end - part.start for part in found) <= 100
    first = next((place for place in places if 0 <= place <= last), None)
    assert first is None or any(part.start <= first < part.end for part in found)
