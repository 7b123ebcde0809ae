"""What people see at a terminal: the right words, and never a control character or tag from a transcript."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from detectors.transcript import TranscriptEvent
from detectors.verdict import Evidence, Status, Verdict
from services.presentation import coverage_line, printable, verdict_table, words
from services.store import Coverage

MakeEvent = Callable[..., TranscriptEvent]
MakeVerdict = Callable[..., Verdict]


def at(event: TranscriptEvent, start: int, end: int, *, message: int = 0, part: int = 0) -> Evidence:
    return Evidence(
        message_id=event.messages[message].id,
        message_index=event.first_message + message,
        part_index=part,
        start=start,
        end=end,
        category="misalignment",
        weight=1,
    )


def shown(verdicts: list[Verdict], events: list[TranscriptEvent], *, terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=300, force_terminal=terminal, color_system=None, legacy_windows=False)
    console.print(verdict_table(verdicts, {event.event_id: event for event in events}))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_words_are_the_evidence_with_a_little_around_it(make_event: MakeEvent) -> None:
    text = "x" * 40 + " grüße 🙂 end " + "y" * 40
    event = make_event(text)
    start = text.index("grüße")
    before, itself, after = words(at(event, start, start + 7), event) or ("", "", "")
    assert itself == "grüße 🙂"
    assert before == text[start - 28 : start]
    assert after == text[start + 7 : start + 35]


def test_words_at_the_edges_of_a_part_have_nothing_around_them(make_event: MakeEvent) -> None:
    event = make_event("all")
    assert words(at(event, 0, 3), event) == ("", "all", "")


def test_words_of_a_delta_are_found_by_their_place_in_the_conversation(make_event: MakeEvent) -> None:
    event = make_event("one", "two", first_message=5)
    item = at(event, 0, 3, message=1)
    assert item.message_index == 6
    assert words(item, event) == ("", "two", "")


def test_places_that_the_event_does_not_have_show_no_words(make_event: MakeEvent) -> None:
    event, other = make_event("one", "two", first_message=5), make_event("eins", "zwei", first_message=5)
    item = at(event, 0, 3)
    assert words(item, other) is None  # another message: the id says so
    assert words(item.model_copy(update={"message_index": 0}), event) is None
    assert words(item.model_copy(update={"message_index": 7}), event) is None
    assert words(item.model_copy(update={"part_index": 1}), event) is None


def test_a_part_without_text_shows_no_characters(make_event: MakeEvent) -> None:
    event = make_event(messages=[{"role": "user", "parts": [{"type": "image", "uri": "x"}]}])
    assert words(at(event, 0, 3), event) == ("", "", "")


def test_the_table_shows_score_status_and_words_of_the_strongest_label(
    make_event: MakeEvent, make_verdict: MakeVerdict
) -> None:
    event = make_event("pay, or I tell everybody")
    weak = at(event, 0, 3)
    verdict = make_verdict(
        flagged=["coercion", "misalignment"],
        scores={"coercion": 0.875},
        evidence=[at(event, 8, 14).model_copy(update={"category": "coercion"}), weak],
    )
    text = shown([verdict], [event])
    assert "0.875" in text
    assert "coercion misalignment" in text
    assert "pay, or »I tell« everybody" in text
    assert "»pay«" not in text


def test_without_the_transcript_only_the_place_is_shown(make_event: MakeEvent, make_verdict: MakeVerdict) -> None:
    event = make_event("one", "two")
    verdict = make_verdict(evidence=[at(event, 1, 3, message=1)], misalignment=0.5)
    text = shown([verdict], [])
    assert "message 1 part 0 [1:3]" in text
    assert "0.500" in text


def test_an_unscored_verdict_has_no_score_and_says_why(make_verdict: MakeVerdict) -> None:
    text = shown([make_verdict(status=Status.UNSCORED, reason="the conversation is empty", misalignment=None)], [])
    assert "unscored: the conversation is empty" in text
    assert "0." not in text


HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "[bold red]calm[/bold red] [/nothing] [link=https://evil.example]here[/link]",
    "\r\n\x0b\x85\u2028fake | row",
    "\u202egnihtyreve\u200b\ufeff",
    "\\\\\\",
    "\\[bold]",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.text(max_size=12), itself=st.text(min_size=1, max_size=12), after=st.text(max_size=12))
@example(HOSTILE[0], "x", HOSTILE[0])
@example(HOSTILE[1], HOSTILE[1], HOSTILE[1])
@example(HOSTILE[2], HOSTILE[2], HOSTILE[3])
@example(HOSTILE[4], "x", HOSTILE[4])
@example(HOSTILE[5], HOSTILE[4], "[/]")
def test_no_transcript_sends_control_characters_to_the_terminal_or_breaks_the_table(
    make_event: MakeEvent, make_verdict: MakeVerdict, before: str, itself: str, after: str
) -> None:
    event = make_event(before + itself + after)
    verdict = make_verdict(evidence=[at(event, len(before), len(before) + len(itself))])
    text = shown([verdict], [event], terminal=True).replace("\x1b[1m", "").replace("\x1b[0m", "")  # our own bold
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text.splitlines()) == len(shown([make_verdict()], []).splitlines())


def test_markup_in_a_transcript_is_shown_as_it_was_written(make_event: MakeEvent, make_verdict: MakeVerdict) -> None:
    event = make_event("a\\\\\\[bold red]b[/bold red]")
    text = shown([make_verdict(evidence=[at(event, 4, 14)])], [event])
    assert "a\\\\\\»[bold red]«b[/bold red]" in text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_verdict_says_is_as_harmless_even_where_nobody_validated_it(
    make_verdict: MakeVerdict, hostile: str
) -> None:
    said = f"a{hostile}z"
    verdict = make_verdict(status=Status.PARTIAL).model_copy(update={"reason": said, "flagged": (said,)})
    text = shown([verdict], [], terminal=True).replace("\x1b[1m", "").replace("\x1b[0m", "")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.count(printable(said).plain) == 2


def test_an_id_with_markup_is_shown_as_it_is(make_verdict: MakeVerdict) -> None:
    assert "[/bold]c[red]" in shown([make_verdict(conversation_id="[/bold]c[red]")], [])


def test_the_coverage_line_counts_every_ending() -> None:
    line = coverage_line(Coverage({"unscored": 1, "scored": 3}, flagged=2, dead_lettered=4))
    assert line == "8 events: 3 scored, 1 unscored, 4 dead-lettered; 2 flagged"
    assert coverage_line(Coverage({}, 0, 0)) == "0 events: none scored, 0 dead-lettered; 0 flagged"
