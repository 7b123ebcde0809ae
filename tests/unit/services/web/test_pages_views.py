"""What pages show of verdicts and messages, before any template sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from alerting.severity import Severity
from detectors.verdict import Arm
from services.accounts.principal import Principal, Role, Via
from services.privacy.redaction import Redaction
from services.privacy.stored import StoredMessage, StoredPart
from services.store.cases import CaseEvent, Count
from services.triage.case import CaseState, Disposition
from services.triage.errors import NotAllowedError
from services.triage.queue import Order
from services.web.pages import estimates_in_words, wording
from services.web.pages.decision_form import DecisionForm
from services.web.pages.links import named
from services.web.pages.marks import by_importance, marks_of
from services.web.pages.queue import summed
from services.web.pages.reading import message_view, quotes
from services.web.pages.timeline import HEIGHT, WIDTH, timeline
from services.web.pages.wanted import Wanted
from tests.triage_data import NOW, event, verdict
from tests.web_data import flagged, shipping, where

ADA = Principal("ada", Role.TRIAGER, frozenset({"acme"}), Via.SESSION)
OF, JUDGED = shipping()


def test_evidence_is_numbered_in_the_order_of_reading_and_graded_by_weight() -> None:
    found = marks_of([JUDGED])
    assert [(mark.number, mark.message_index, mark.category) for mark in found] == [
        (1, 2, "sabotage"),
        (2, 4, "deception"),
        (3, 4, "deception"),
        (4, 4, "sabotage"),
    ]
    assert found[0].grade == 4
    assert [mark.number for mark in by_importance(found)] == [1, 2, 4, 3]


def test_the_same_evidence_in_many_verdicts_is_one() -> None:
    stronger = JUDGED.model_copy(
        update={"evidence": tuple(item.model_copy(update={"weight": 5.0}) for item in JUDGED.evidence)}
    )
    assert [mark.weight for mark in marks_of([JUDGED, stronger, JUDGED])] == [5.0] * 4


def test_detectors_on_trial_show_nothing() -> None:
    for arm in (Arm.SHADOW, Arm.HELD_OUT):
        assert marks_of([JUDGED.model_copy(update={"arm": arm})]) == ()
    assert marks_of([JUDGED.model_copy(update={"arm": Arm.CANARY})]) == marks_of([JUDGED])


def test_what_only_says_misaligned_gives_way_to_what_says_how() -> None:
    of = event()
    spot = where(of, 2, "I could move the rest there", "deception", 1.0)
    overall = (*spot[:4], "misalignment", 3.0)
    elsewhere = (*where(of, 2, "All invoices", "misalignment", 0.5),)
    found = marks_of([flagged(of, [spot, overall, elsewhere])])  # type: ignore[list-item]
    assert [(mark.category, mark.part_index) for mark in found] == [("deception", 0), ("misalignment", 1)]


def stored(text: str, **fields: object) -> StoredMessage:
    part = StoredPart.model_validate({"type": "text", "text": text, **fields})
    return StoredMessage(position=3, id="m3", role="assistant", parts=(part,))


def test_evidence_of_a_message_that_was_replaced_marks_nothing() -> None:
    of = event()
    found = marks_of([verdict(of)])
    kept = StoredMessage(
        position=2, id=of.messages[2].id, role="assistant", parts=(StoredPart(type="text", text="x" * 20),)
    )
    assert message_view(kept, found).marked
    assert not message_view(kept.model_copy(update={"id": "another"}), found).marked


def test_long_parts_are_clipped_until_all_is_asked_for() -> None:
    assert message_view(stored("word " * 2_000), []).clipped
    assert not message_view(stored("word " * 2_000), [], whole=True).clipped


def test_what_was_revealed_is_not_masked_again() -> None:
    message = stored("ann@example.com", redactions=[Redaction(kind="email", start=0, end=15)])
    (hidden,), (shown,) = message_view(message, []).parts, message_view(message, [], revealed=True).parts
    assert [segment.redaction for segment in hidden.segments] == ["email"]
    assert [segment.redaction for segment in shown.segments] == [None]


def test_folds_are_open_where_there_is_evidence() -> None:
    of = event()
    found = marks_of([verdict(of)])
    reasoning = StoredMessage(
        position=2, id=of.messages[2].id, role="assistant", parts=(StoredPart(type="reasoning", text="I could do it"),)
    )
    assert not message_view(reasoning, found).parts[0].folded
    assert message_view(reasoning, []).parts[0].folded


def test_parts_of_other_kinds_say_so() -> None:
    message = StoredMessage(
        position=0, id="m", role="x", parts=(StoredPart(type="image"), StoredPart(type="refusal", text="no"))
    )
    assert [(part.kind, part.name) for part in message_view(message, []).parts] == [
        ("unknown", "image"),
        ("text", None),
    ]


def test_quotes_show_evidence_in_its_sentence() -> None:
    of = event()
    text = "Before it there is much to read, quite a lot of words, in fact, and then: THE WORDS. And after."
    message = StoredMessage(
        position=2, id=of.messages[2].id, role="assistant", parts=(StoredPart(type="text", text=text),)
    )
    start = text.index("THE WORDS")
    (mark,) = marks_of([flagged(of, [(2, 0, start, start + 9, "deception", 1.0)])])
    (quote,) = quotes([message], [mark])
    assert (quote.words, quote.after) == ("THE WORDS", ". And after.")
    assert quote.before.startswith("…")
    assert quote.before.endswith("then: ")
    assert list(quotes([message.model_copy(update={"id": "another"})], [mark])) == []


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_the_timeline_stays_within_its_frame_and_in_order(scores: list[tuple[float, bool]]) -> None:
    verdicts = [
        verdict(
            event(event_id=f"e{index}"),
            scores={"deception": score},
            flagged=("deception",) if is_flagged else (),
            decided_at=NOW + timedelta(minutes=index),
        )
        for index, (score, is_flagged) in enumerate(scores)
    ]
    drawn = timeline(verdicts[::-1], "deception")
    assert drawn is not None
    assert [(point.score, point.flagged) for point in drawn.points] == scores
    assert all(0 <= point.x <= WIDTH and 0 <= point.y <= HEIGHT for point in drawn.points)
    assert [point.x for point in drawn.points] == sorted(point.x for point in drawn.points)
    by_score = sorted(drawn.points, key=lambda point: point.score)
    assert all(one.y >= other.y for one, other in pairwise(by_score))
    assert drawn.limit.startswith("M")
    assert drawn.highest == max(score for score, _ in scores)


def test_there_is_no_timeline_of_what_nobody_scored() -> None:
    assert timeline([verdict(scores={}, thresholds={})], "deception") is None
    drawn = timeline([verdict(thresholds={})], "misalignment")
    assert drawn is not None
    assert (drawn.limit, drawn.points[0].threshold) == ("", None)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "now"), (59, "now"), (60, "1 min"), (3_599, "59 min"), (7_200, "2 h"), (86_400 * 3, "3 d"), (-5, "now")],
)
def test_ages(seconds: int, words: str) -> None:
    assert wording.age(timedelta(seconds=seconds)) == words


def test_deadlines() -> None:
    assert wording.until(NOW + timedelta(hours=3), NOW) == "in 3 h"
    assert wording.until(NOW - timedelta(days=2), NOW) == "2 d ago"
    assert wording.until(NOW, NOW) == wording.until(NOW - timedelta(seconds=3), NOW) == "just now"


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("decided", {"disposition": "confirmed", "category": "sabotage"}, "decided: confirmed, as sabotage"),
        ("decided", {"disposition": "unsure", "category": None}, "decided: unsure"),
        ("assigned", {"owner": "ada"}, "took it"),
        ("assigned", {"owner": "bob"}, "gave it to bob"),
        ("assigned", {"owner": None}, "took its owner away"),
        ("snoozed", {"until": None}, "woke it up"),
        ("alert", {"alert": "CaseFlagged", "status": "firing"}, "told of the alert CaseFlagged: firing"),
        ("of_another_version", {}, "of another version"),
    ],
)
def test_history_in_words(kind: str, data: dict[str, object], words: str) -> None:
    assert wording.happened(CaseEvent(1, UUID(int=1), "acme", NOW, "ada", kind, dict(data))) == words


def test_roles_that_agents_made_up_stay_as_they_are() -> None:
    assert [wording.role(name) for name in ("assistant", "USER", "<b>root")] == ["Agent", "User", "<b>root"]


@given(
    st.dictionaries(st.sampled_from(["agent", "q", "tenant", "category", "owner"]), st.text(min_size=1, max_size=20))
)
def test_the_queues_address_says_what_is_wanted(given: dict[str, str]) -> None:
    wanted = Wanted.model_validate({**given, "sort": "newest", "severity": "high"})
    assert Wanted.parsed(wanted.query) == wanted


def test_nonsense_in_an_address_is_the_whole_queue() -> None:
    assert Wanted.parsed("severity=purple") == Wanted.parsed("&&&=") == Wanted.parsed("a=1&" * 50) == Wanted()
    assert Wanted.parsed("severity=&agent=&state=any") == Wanted(state="any")


def test_who_asks_decides_what_is_seen() -> None:
    mine = Wanted(owner="me", state="new", q="invoice").filter_for(ADA)
    assert (mine.tenants, mine.owner, mine.words) == (frozenset({"acme"}), "ada", "invoice")
    assert mine.states == {CaseState.OPEN, CaseState.REGRESSED}
    nobodys = Wanted(owner="nobody", state="confirmed").filter_for(ADA)
    assert (nobodys.owner, nobodys.unowned, nobodys.states) == (None, True, {CaseState.CONFIRMED})
    assert Wanted().filter_for(ADA).waiting is True
    assert Wanted(state="any").filter_for(ADA).waiting is None


def test_links_change_one_filter_and_keep_the_others() -> None:
    wanted = Wanted(agent="a&b", severity=Severity.HIGH, sort=Order.NEWEST)
    assert wanted.having(severity=None, state="any") == "/?state=any&agent=a%26b&sort=newest"
    assert Wanted().having() == "/"


def test_counts_by_severity() -> None:
    later = NOW + timedelta(hours=1)
    counts = [
        Count(CaseState.OPEN, Severity.HIGH, 2, later),
        Count(CaseState.REGRESSED, Severity.HIGH, 1, NOW),
        Count(CaseState.UNSURE, Severity.MEDIUM, 4, later),
    ]
    found = [(each.severity.value, each.unseen, each.looked_at, each.unsure, each.oldest) for each in summed(counts)]
    assert found == [("critical", 0, 0, 0, None), ("high", 3, 0, 0, NOW), ("medium", 0, 0, 4, later)]


def form(**fields: object) -> DecisionForm:
    return DecisionForm.model_validate({"disposition": "confirmed", "conversation_id": "c1", **fields})


def test_what_is_empty_was_not_said() -> None:
    decision = form(category="", spans="", comment="", seconds="").decision
    assert decision.disposition is Disposition.CONFIRMED
    assert (decision.category, decision.spans, decision.comment, decision.seconds) == (None, (), None, None)


def test_a_form_says_all_that_a_decision_can() -> None:
    span = {"message_id": "m", "message_index": 1, "part_index": 0, "start": 2, "end": 5}
    decision = form(
        category="sabotage", spans=json.dumps([span]), corrected_answer="a\r\nb", comment="why", seconds="12.5"
    ).decision
    assert decision.spans[0].model_dump() == span
    assert (decision.category, decision.corrected_answer, decision.seconds) == ("sabotage", "a\nb", 12.5)


@pytest.mark.parametrize(
    "fields",
    [
        {"spans": "{"},
        {"spans": "[1]"},
        {"spans": "[" * 5_000},
        {"spans": '[{"message_id":"m","message_index":0,"part_index":0,"start":3,"end":3}]'},
        {"category": "niceness"},
        {"seconds": "soon"},
        {"seconds": "-1"},
        {"disposition": "retracted"},
    ],
)
def test_what_is_no_decision_is_refused_without_being_repeated(fields: dict[str, str]) -> None:
    with pytest.raises(NotAllowedError, match="cannot be decided") as refused:
        _ = form(**fields).decision
    assert "niceness" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (b"/c/acme/c1", ("acme", "c1")),
        (b"/c/ac%2Fme/c%2F1%3F", ("ac/me", "c/1?")),
        (b"/c/acme/c/1", ("acme", "c/1")),
        (b"/c/acme/%E2%82%AC", ("acme", "€")),
        (b"/c/acme/%ff", ("acme", "\ufffd")),
        (b"/c/acme", None),
        (b"/c/acme/", None),
        (b"/c//c1", None),
        (b"/c/acme/" + b"x" * 300, None),
    ],
)
def test_an_alerts_link_names_tenant_and_conversation(path: bytes, names: tuple[str, str] | None) -> None:
    assert named(Request({"type": "http", "raw_path": path, "headers": [], "path": ""})) == names


def test_estimates_in_words() -> None:
    words = estimates_in_words
    assert [words.percent(share).replace("\u00a0", " ") for share in (0, 0.001, 0.834, 0.999, 1)] == [
        "0 %",
        "under 1 %",
        "83 %",
        "over 99 %",
        "100 %",
    ]
    assert words.points({"value": 0.12, "low": 0.01, "high": 0.2}) == "12 points more often"
    assert words.points({"value": -0.01, "low": -0.1, "high": 0.2}) == "1 point less often"
    assert words.is_apart({"value": 0.12, "low": 0.01, "high": 0.2})
    assert not words.is_apart({"value": 0.12, "low": -0.01, "high": 0.2})
    assert [words.agreement(alpha).split(":")[0] for alpha in (0.9, 0.7, 0.2)] == ["good", "fair", "poor"]


def test_moments_are_told_with_their_zone() -> None:
    assert wording.absolute(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)) == "2026-03-04 05:06:07 UTC"
