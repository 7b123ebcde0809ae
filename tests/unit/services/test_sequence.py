"""Order and gaps in a conversation's events."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.transcript import TranscriptEvent
from services.sequence import SequenceWatch

MakeEvent = Callable[..., TranscriptEvent]


def caveats(watch: SequenceWatch, make_event: MakeEvent, *seqs: int, conversation: str = "c1") -> list[str | None]:
    events = [make_event("hi", event_id=f"{conversation}-{seq}", conversation_id=conversation, seq=seq) for seq in seqs]
    return [watch.caveat(event) for event in events]


def test_a_first_event_is_taken_as_it_comes(make_event: MakeEvent) -> None:
    assert caveats(SequenceWatch(), make_event, 17) == [None]


def test_events_in_order_have_no_caveat(make_event: MakeEvent) -> None:
    assert caveats(SequenceWatch(), make_event, 0, 1, 2, 3) == [None] * 4


def test_a_gap_says_how_many_are_missing_and_is_told_once(make_event: MakeEvent) -> None:
    assert caveats(SequenceWatch(), make_event, 0, 1, 5, 6) == [
        None,
        None,
        "seq 5 follows seq 1: 3 event(s) missing",
        None,
    ]


def test_an_event_that_comes_late_is_told_and_does_not_set_the_conversation_back(make_event: MakeEvent) -> None:
    assert caveats(SequenceWatch(), make_event, 3, 1, 4) == [None, "out of order: seq 1 came after seq 3", None]


def test_a_duplicate_of_the_latest_event_has_no_caveat(make_event: MakeEvent) -> None:
    assert caveats(SequenceWatch(), make_event, 0, 1, 1, 2) == [None] * 4


def test_the_same_conversation_id_of_another_tenant_is_another_conversation(make_event: MakeEvent) -> None:
    watch = SequenceWatch()
    assert caveats(watch, make_event, 0) == [None]
    assert watch.caveat(make_event("hi", event_id="other", tenant_id="other", seq=9)) is None


def test_a_slash_in_an_id_does_not_join_two_conversations(make_event: MakeEvent) -> None:
    watch = SequenceWatch()
    assert watch.caveat(make_event("hi", event_id="1", tenant_id="a/b", conversation_id="c", seq=0)) is None
    assert watch.caveat(make_event("hi", event_id="2", tenant_id="a", conversation_id="b/c", seq=9)) is None


def test_another_event_with_the_same_seq_is_out_of_order(make_event: MakeEvent) -> None:
    watch = SequenceWatch()
    assert watch.caveat(make_event("hi", event_id="1", seq=3)) is None
    assert watch.caveat(make_event("hi", event_id="2", seq=3)) == "out of order: seq 3 came after seq 3"


def test_events_that_are_not_numbered_are_not_watched(make_event: MakeEvent) -> None:
    watch = SequenceWatch()
    for number, seq in enumerate((0, None, None, 1, None, 2)):
        assert watch.caveat(make_event("hi", event_id=f"e{number}", seq=seq)) is None


def test_only_so_many_conversations_are_remembered_and_the_longest_unseen_goes_first(make_event: MakeEvent) -> None:
    watch = SequenceWatch(conversations=2)
    for conversation in ("a", "b", "a", "c"):
        caveats(watch, make_event, 0, conversation=conversation)
    assert caveats(watch, make_event, 9, conversation="a") != [None]  # seen lately: still known, so the gap shows
    assert caveats(watch, make_event, 9, conversation="b") == [None]  # forgotten: taken as it comes


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.sampled_from("abc"), max_size=25))
def test_conversations_that_are_in_order_may_interleave_as_they_like(make_event: MakeEvent, order: list[str]) -> None:
    watch, latest = SequenceWatch(conversations=3), dict.fromkeys("abc", -1)
    for conversation in order:
        latest[conversation] += 1
        assert caveats(watch, make_event, latest[conversation], conversation=conversation) == [None]
