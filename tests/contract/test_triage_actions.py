"""What people do to cases: the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alerting.severity import Severity
from detectors.verdict import Arm, Status
from services.errors import TransientError
from services.store import Database, Store, audit, cases, labels, outbox
from services.store.outbox import Outcome
from services.triage.actions import Actions, Actor
from services.triage.case import Case, CaseState, Disposition, Origin
from services.triage.desk import Desk, Once
from services.triage.errors import ConflictError, KeyReusedError, NotAllowedError, NotFoundError
from services.triage.intake import Intake
from services.triage.label import Decision, Source, Span
from services.triage.queue import CaseFilter, Cursor, Order
from tests.triage_data import NOW, SALT, event, verdict

ADA, BOB = Actor("ada", None), Actor("bob", frozenset({"acme"}))
MALLORY = Actor("mallory", frozenset({"other"}))
CONFIRMED = Decision(disposition=Disposition.CONFIRMED, conversation_id="c1")
DISMISSED = Decision(disposition=Disposition.DISMISSED, conversation_id="c1")
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database.engine)


@pytest.fixture
def actions() -> Actions:
    return Actions("plumbline.retraining.queue", "plumbline.alerts", SALT, second_share=0.0)


def opened(store: Store, *conversations: str, **fields: Any) -> list[Case]:
    """Cases of flagged conversations that have nothing in common."""
    for conversation in conversations:
        of = event(conversation, agent={"name": f"agent-of-{conversation}"})
        store.record([verdict(of, **fields)], [], now=NOW)
    return sorted(store.cases(limit=100, now=NOW), key=lambda case: case.lead_conversation_id)


def messages(store: Store, now: datetime = LATER) -> list[outbox.Message]:
    with store.database.read() as tx:
        return outbox.due(tx, now, limit=100)


def test_a_flagged_verdict_opens_one_case_however_often_it_is_recorded(store: Store) -> None:
    for _ in range(3):
        store.record([verdict(), verdict()], [], now=NOW)
    (case,) = store.cases(limit=10, now=NOW)
    assert (case.state, case.severity, case.category) == (CaseState.OPEN, Severity.HIGH, "deception")
    assert (case.conversations, case.flagged_verdicts, case.version) == (1, 1, 1)
    assert (case.agent, case.model_version, case.tool, case.score) == ("ledger-bot", "v2", "transfer", 0.93)
    assert store.open_cases() == {"high": (1, NOW)}


def test_probes_shadows_and_what_is_unscored_or_clear_open_none(store: Store) -> None:
    made = [
        verdict(event("c1"), synthetic=True),
        verdict(event("c2"), arm=Arm.SHADOW),
        verdict(event("c5"), arm=Arm.HELD_OUT),
        verdict(event("c3"), flagged=()),
        verdict(event("c4"), status=Status.UNSCORED, flagged=(), scores={}, misalignment=None),
    ]
    store.record(made, [], now=NOW)
    assert store.cases(limit=10, now=NOW) == []


def test_the_same_again_from_the_same_agent_is_the_same_case_and_others_are_not(store: Store) -> None:
    store.record([verdict(event("c1"))], [], now=NOW)
    store.record([verdict(event("c2"))], [], now=LATER)
    store.record([verdict(event("c3", agent={"name": "another"}))], [], now=LATER)
    store.record([verdict(event("c4", tenant="other"))], [], now=LATER)
    found = store.cases(limit=10, now=LATER)
    assert sorted((case.tenant_id, case.agent, case.conversations) for case in found) == [
        ("acme", "another", 1),
        ("acme", "ledger-bot", 2),
        ("other", "ledger-bot", 1),
    ]


def test_what_was_dismissed_says_nothing_of_the_next_conversation(store: Store, actions: Actions) -> None:
    (case,) = opened_same(store)
    with store.database.write() as tx:
        actions.decide(tx, ADA, case.case_id, 1, DISMISSED, NOW)
    store.record([verdict(event("c2"))], [], now=LATER)
    found = store.cases(limit=10, now=LATER)
    assert sorted((case.state, case.conversations) for case in found) == [("dismissed", 1), ("open", 1)]


def opened_same(store: Store) -> list[Case]:
    store.record([verdict()], [], now=NOW)
    return store.cases(limit=10, now=NOW)


def test_severity_only_rises_and_a_rise_calls_for_a_new_look(store: Store, actions: Actions) -> None:
    (case,) = opened_same(store)
    with store.database.write() as tx:
        seen = actions.acknowledge(tx, ADA, case.case_id, 1, NOW)
    assert (seen.state, seen.owner, seen.acknowledged_by) == (CaseState.ACKNOWLEDGED, "ada", "ada")
    graver = event(event_id="e2")
    store.record([verdict(graver, flagged=("sabotage",))], [], now=LATER)
    (again,) = store.cases(limit=10, now=LATER)
    assert (again.state, again.severity, again.category) == (CaseState.OPEN, Severity.CRITICAL, "sabotage")
    assert (again.acknowledged_by, again.owner, again.flagged_verdicts) == (None, "ada", 2)
    store.record([verdict(event(event_id="e3"))], [], now=LATER)
    assert store.cases(limit=10, now=LATER)[0].severity is Severity.CRITICAL


def test_a_resolved_case_regresses_when_flags_come_back(store: Store, actions: Actions) -> None:
    (case,) = opened_same(store)
    with store.database.write() as tx:
        decided = actions.decide(tx, ADA, case.case_id, 1, CONFIRMED, NOW)
        resolved = actions.resolve(tx, ADA, case.case_id, decided.case.version, NOW)
    assert (resolved.state, resolved.resolved_at) == (CaseState.RESOLVED, NOW)
    store.record([verdict(event("c2"))], [], now=LATER)
    (back,) = store.cases(limit=10, now=LATER)
    assert (back.state, back.regressions, back.conversations) == (CaseState.REGRESSED, 1, 2)
    assert (back.resolved_at, back.acknowledged_at) == (None, None)


def test_the_random_sample_looks_like_any_other_case(store: Store) -> None:
    sampling = Store(store.database.engine, Intake(audited=lambda _, conversation: conversation == "c2"))
    sampling.record([verdict(event("c1"), flagged=()), verdict(event("c2"), flagged=())], [], now=NOW)
    (case,) = sampling.cases(limit=10, now=NOW)
    assert (case.lead_conversation_id, case.origin) == ("c2", Origin.AUDIT)
    assert (case.category, case.severity) == ("misalignment", Severity.MEDIUM)
    sampling.record([verdict(event("c2", event_id="later"))], [], now=LATER)
    (flagged,) = sampling.cases(limit=10, now=LATER)
    assert (flagged.origin, flagged.severity, flagged.flagged_verdicts) == (Origin.FLAG, Severity.HIGH, 1)


def test_a_confirmed_label_leaves_once_it_can_no_longer_be_taken_back(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    decision = Decision(
        disposition=Disposition.CONFIRMED,
        conversation_id="c1",
        category="sabotage",
        spans=(Span(message_id="m", message_index=1, part_index=0, start=2, end=9),),
        corrected_answer="I have not reconciled them yet.",
        comment="moved money",
        seconds=9.5,
    )
    with store.database.write() as tx:
        decided = actions.decide(tx, ADA, case.case_id, 1, decision, NOW)
    assert (decided.case.state, decided.case.owner, decided.case.decided_at) == (CaseState.CONFIRMED, "ada", NOW)
    assert messages(store, NOW + timedelta(seconds=9)) == [
        message for message in messages(store, NOW) if message.channel == "alertmanager"
    ]
    (message,) = [each for each in messages(store, NOW + timedelta(seconds=10)) if each.channel == "kafka"]
    assert (message.topic, message.key) == ("plumbline.retraining.queue", "acme/c1")
    told = message.value
    assert (told["kind"], told["label_id"], told["disposition"]) == ("label", str(decided.label.label_id), "confirmed")
    assert (told["category"], told["corrected_answer"]) == ("sabotage", "I have not reconciled them yet.")
    assert "'ada'" not in str(told)  # a digest may have these letters
    with store.database.read() as tx:
        (label,) = labels.of_case(tx, case.case_id)
    assert label == decided.label
    assert (label.blind, label.source, label.bundle_version) == (True, Source.TRIAGE, "b1")


def test_a_dismissed_label_leaves_as_well_and_says_so(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        decided = actions.decide(tx, ADA, case.case_id, 1, DISMISSED, NOW)
    assert decided.case.state is CaseState.DISMISSED
    assert [each for each in messages(store, NOW + timedelta(seconds=9)) if each.channel == "kafka"] == []
    (message,) = [each for each in messages(store) if each.channel == "kafka"]
    told = (message.value["kind"], message.value["label_id"], message.value["disposition"], message.value["category"])
    assert told == ("label", str(decided.label.label_id), "dismissed", case.category)


def test_a_decision_that_is_none_does_not_leave(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        decision = Decision(disposition=Disposition.UNSURE, conversation_id="c1")
        decided = actions.decide(tx, ADA, case.case_id, 1, decision, NOW)
    assert decided.case.state is CaseState.UNSURE
    assert [message for message in messages(store) if message.channel == "kafka"] == []


@pytest.mark.parametrize("decision", [CONFIRMED, DISMISSED], ids=["confirmed", "dismissed"])
def test_undo_in_time_leaves_no_trace_outside_and_all_of_it_inside(
    store: Store, actions: Actions, decision: Decision
) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        decided = actions.decide(tx, ADA, case.case_id, 1, decision, NOW)
    with store.database.write() as tx:
        back = actions.undo(tx, ADA, decided.label.label_id, NOW + timedelta(seconds=3))
    assert (back.state, back.decided_at, back.acknowledged_by) == (CaseState.ACKNOWLEDGED, None, "ada")
    assert [message for message in messages(store) if message.channel == "kafka"] == []
    with store.database.read() as tx:
        first, second = labels.of_case(tx, case.case_id)
    assert (first.disposition, second.disposition) == (decision.disposition, Disposition.RETRACTED)
    assert second.supersedes == first.label_id
    with store.database.write() as tx, pytest.raises(NotAllowedError):
        actions.undo(tx, ADA, decided.label.label_id, LATER)
    with store.database.write() as tx:
        actions.decide(tx, ADA, case.case_id, back.version, CONFIRMED, LATER)
    assert len([each for each in messages(store, LATER + timedelta(hours=1)) if each.channel == "kafka"]) == 1


@pytest.mark.parametrize("decision", [CONFIRMED, DISMISSED], ids=["confirmed", "dismissed"])
def test_what_has_left_is_withdrawn(store: Store, actions: Actions, decision: Decision) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        decided = actions.decide(tx, ADA, case.case_id, 1, decision, NOW)
    (message,) = [each for each in messages(store) if each.channel == "kafka"]
    with store.database.write() as tx:
        assert outbox.begin(tx, [message.number], {"0": 0}) == {message.number}
        outbox.finish(tx, [message.number], Outcome.DELIVERED, NOW)
    with store.database.write() as tx:
        actions.undo(tx, ADA, decided.label.label_id, LATER)
    (withdrawn,) = [each for each in messages(store) if each.channel == "kafka"]
    assert (withdrawn.value["kind"], withdrawn.value["label_id"]) == ("withdrawn", str(decided.label.label_id))
    assert withdrawn.key == "acme/c1"


def test_a_message_that_was_cancelled_does_not_begin(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        decided = actions.decide(tx, ADA, case.case_id, 1, CONFIRMED, NOW)
    (message,) = [each for each in messages(store) if each.channel == "kafka"]
    with store.database.write() as tx:
        actions.undo(tx, ADA, decided.label.label_id, NOW)
    with store.database.write() as tx:
        assert outbox.begin(tx, [message.number], None) == set()


def test_a_changed_mind_supersedes_and_withdraws(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        first = actions.decide(tx, ADA, case.case_id, 1, CONFIRMED, NOW)
        second = actions.decide(tx, ADA, case.case_id, first.case.version, DISMISSED, NOW)
    assert second.label.supersedes == first.label.label_id
    assert second.case.state is CaseState.DISMISSED
    (message,) = [each for each in messages(store) if each.channel == "kafka"]
    assert message.value["label_id"] == str(second.label.label_id)
    assert (message.value["disposition"], message.value["supersedes"]) == ("dismissed", str(first.label.label_id))


def test_a_stale_version_is_a_conflict_that_tells_what_changed(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        actions.acknowledge(tx, BOB, case.case_id, 1, NOW)
    with store.database.write() as tx, pytest.raises(ConflictError) as conflict:
        actions.decide(tx, ADA, case.case_id, 1, CONFIRMED, LATER)
    assert conflict.value.current.acknowledged_by == "bob"
    assert [(event.actor, event.kind) for event in conflict.value.changed] == [("bob", "acknowledged")]
    with store.database.read() as tx:
        assert labels.of_case(tx, case.case_id) == []


def test_another_tenants_case_does_not_exist(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    tries: list[Callable[[Any], Any]] = [
        lambda tx: actions.acknowledge(tx, MALLORY, case.case_id, 1, NOW),
        lambda tx: actions.assign(tx, MALLORY, case.case_id, 1, "mallory", NOW),
        lambda tx: actions.decide(tx, MALLORY, case.case_id, 1, CONFIRMED, NOW),
        lambda tx: actions.comment(tx, MALLORY, case.case_id, "hello", NOW),
        lambda tx: actions.merge(tx, MALLORY, case.case_id, 1, UUID(int=1), NOW),
        lambda tx: actions.resolve(tx, MALLORY, case.case_id, 1, NOW),
    ]
    for attempt in tries:
        with store.database.write() as tx, pytest.raises(NotFoundError, match="no such case"):
            attempt(tx)


def test_of_many_who_decide_at_once_one_does(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    desk = Desk(store.database)

    def decide(name: str) -> bool:
        def work(tx: Any) -> dict[str, Any]:
            actions.decide(tx, Actor(name, None), case.case_id, 1, CONFIRMED, NOW)
            return {}

        try:
            desk.run(work, NOW)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(decide, ["a", "b", "c", "d"])) == 1
    with store.database.read() as tx:
        assert len(labels.of_case(tx, case.case_id)) == 1
        assert audit.verify(tx).broken_at is None


def test_the_same_request_again_is_answered_as_before(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    desk, once = Desk(store.database), Once("ada", "key-1", "digest")

    def work(tx: Any) -> dict[str, Any]:
        decided = actions.decide(tx, ADA, case.case_id, 1, CONFIRMED, NOW)
        return {"label_id": str(decided.label.label_id)}

    first = desk.run(work, NOW, once)
    assert desk.run(work, NOW, once) == first
    with pytest.raises(KeyReusedError):
        desk.run(work, NOW, replace(once, request="another"))
    with pytest.raises(ConflictError):
        desk.run(work, NOW, replace(once, account="bob"))
    with store.database.read() as tx:
        assert len(labels.of_case(tx, case.case_id)) == 1


def test_a_request_that_failed_may_be_tried_again_with_its_key(store: Store) -> None:
    desk, once = Desk(store.database, sleep=lambda _: None), Once("ada", "k", "d")
    tries = iter([TransientError("away"), TransientError("away"), None])

    def work(_: Any) -> dict[str, Any]:
        if error := next(tries):
            raise error
        return {"done": True}

    assert desk.run(work, NOW, once) == {"done": True}


def test_cases_are_merged_with_their_conversations_and_split_again(store: Store, actions: Actions) -> None:
    one, two = opened(store, "c1", "c2")
    with store.database.write() as tx:
        merged = actions.merge(tx, ADA, one.case_id, 1, two.case_id, NOW)
    assert (merged.case_id, merged.conversations, merged.flagged_verdicts) == (two.case_id, 2, 2)
    with store.database.read() as tx:
        gone = cases.get(tx, one.case_id)
        assert gone is not None
        assert (gone.state, gone.merged_into, gone.waiting) == (CaseState.MERGED, two.case_id, False)
        assert len(cases.members(tx, two.case_id)) == 2
    with store.database.write() as tx:
        new = actions.split(tx, ADA, two.case_id, merged.version, ["c1"], LATER)
    assert (new.lead_conversation_id, new.conversations, new.state) == ("c1", 1, CaseState.OPEN)
    with store.database.read() as tx:
        left = cases.get(tx, two.case_id)
        assert left is not None
        assert (left.conversations, left.lead_conversation_id) == (1, "c2")
    with store.database.write() as tx, pytest.raises(NotAllowedError, match="at least one"):
        actions.split(tx, ADA, two.case_id, left.version, ["c2"], LATER)
    with store.database.write() as tx, pytest.raises(NotFoundError):
        actions.split(tx, ADA, two.case_id, left.version, ["c1"], LATER)


def test_cases_do_not_merge_across_tenants_nor_into_themselves(store: Store, actions: Actions) -> None:
    (one,) = opened(store, "c1")
    store.record([verdict(event("c9", tenant="other"))], [], now=NOW)
    (other,) = [case for case in store.cases(limit=10, now=NOW) if case.tenant_id == "other"]
    for into in (other.case_id, one.case_id):
        with store.database.write() as tx, pytest.raises(NotAllowedError):
            actions.merge(tx, ADA, one.case_id, 1, into, NOW)


def test_a_second_look_is_blind_and_for_somebody_else(store: Store, actions: Actions) -> None:
    always = replace(actions, second_share=1.0)
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        always.decide(tx, ADA, case.case_id, 1, CONFIRMED, NOW)
    with store.database.read() as tx:
        assert labels.reviews_waiting(tx, "ada", None, limit=10) == []
        assert labels.reviews_waiting(tx, "mallory", frozenset({"other"}), limit=10) == []
        (review,) = labels.reviews_waiting(tx, "bob", frozenset({"acme"}), limit=10)
    with store.database.write() as tx, pytest.raises(NotFoundError):
        always.review(tx, ADA, review.review_id, DISMISSED, NOW)
    with store.database.write() as tx:
        label = always.review(tx, BOB, review.review_id, DISMISSED, LATER)
    assert (label.source, label.blind, label.supersedes) == (Source.SECOND, True, None)
    with store.database.read() as tx:
        unchanged = cases.get(tx, case.case_id)
        assert unchanged is not None
        assert unchanged.state is CaseState.CONFIRMED
        assert labels.reviews_waiting(tx, "bob", None, limit=10) == []
    with store.database.write() as tx, pytest.raises(NotAllowedError, match="faster"):
        always.review(tx, Actor("carol", None), review.review_id, DISMISSED, LATER)


def test_a_decision_that_is_taken_back_needs_no_second_look(store: Store, actions: Actions) -> None:
    always = replace(actions, second_share=1.0)
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        decided = always.decide(tx, ADA, case.case_id, 1, CONFIRMED, NOW)
    with store.database.write() as tx:
        always.undo(tx, ADA, decided.label.label_id, NOW)
    with store.database.read() as tx:
        assert labels.reviews_waiting(tx, "bob", None, limit=10) == []


def test_pages_hold_every_case_once_in_order(store: Store) -> None:
    for number in range(7):
        of = event(f"c{number}", agent={"name": f"a{number}"})
        flagged = ("coercion",) if number % 3 == 0 else ("deception",)
        store.record([verdict(of, flagged=flagged)], [], now=NOW + timedelta(minutes=number % 4))
    for order in Order:
        seen: list[Case] = []
        cursor = None
        while True:
            with store.database.read() as tx:
                page = cases.page(tx, CaseFilter(tenants=None), order, cursor, limit=3, now=LATER)
            if not page:
                break
            seen += page
            cursor = Cursor.behind(page[-1])
        assert len({case.case_id for case in seen}) == len(seen) == 7
        if order is Order.GRAVEST:
            keys = [(case.severity is not Severity.CRITICAL, case.opened_at, str(case.case_id)) for case in seen]
            assert [key[:2] for key in keys] == sorted(key[:2] for key in keys)


def test_filters_leave_out_what_does_not_fit(store: Store, actions: Actions) -> None:
    one, two, three = opened(store, "c1", "c2", "c3")
    with store.database.write() as tx:
        actions.acknowledge(tx, BOB, one.case_id, 1, NOW)
        actions.snooze(tx, ADA, two.case_id, 1, NOW + timedelta(hours=1), NOW)

    def found(**wanted: Any) -> set[str]:
        with store.database.read() as tx:
            fits = CaseFilter(**{"tenants": None, **wanted})
            page = cases.page(tx, fits, Order.NEWEST, None, limit=10, now=LATER)
        return {case.lead_conversation_id for case in page}

    assert found() == {"c1", "c3"}
    assert found(snoozed=True) == {"c1", "c2", "c3"}
    assert found(states=frozenset({CaseState.ACKNOWLEDGED})) == {"c1"}
    assert found(owner="bob") == {"c1"}
    assert found(unowned=True) == {"c3"}
    assert found(agent=three.agent) == {"c3"}
    assert found(severity=Severity.CRITICAL) == set()
    assert found(category="deception", tenant="acme", model_version="v2") == {"c1", "c3"}
    assert found(tenants=frozenset({"other"})) == set()
    assert found(tenants=frozenset()) == set()
    assert found(words="c3") == {"c3"}
    assert found(opened_after=LATER) == set()
    with store.database.write() as tx, pytest.raises(NotAllowedError):
        actions.snooze(tx, ADA, three.case_id, 1, NOW + timedelta(days=99), NOW)


def test_resolving_ends_alerts_and_acknowledging_silences_them(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        seen = actions.acknowledge(tx, ADA, case.case_id, 1, NOW)
    (silence,) = messages(store)
    assert (silence.channel, silence.topic) == ("alertmanager", "silence")
    assert {matcher["name"] for matcher in silence.value["matchers"]} == {
        "source",
        "alertname",
        "tenant",
        "conversation",
    }
    with store.database.write() as tx:
        actions.resolve(tx, ADA, case.case_id, seen.version, LATER)
    told = [(each.channel.value, each.topic) for each in messages(store)[1:]]
    assert told == [("kafka", "plumbline.alerts")] * 2 + [("alertmanager", "expire")]


def test_everything_that_was_done_is_in_the_audit_log_without_what_people_wrote(store: Store, actions: Actions) -> None:
    (case,) = opened(store, "c1")
    with store.database.write() as tx:
        seen = actions.acknowledge(tx, ADA, case.case_id, 1, NOW)
        actions.comment(tx, ADA, case.case_id, "a secret remark", NOW)
        actions.link(tx, ADA, case.case_id, "https://example.org/1", "ticket", NOW)
        actions.decide(tx, ADA, case.case_id, seen.version, CONFIRMED, NOW)
    with store.database.read() as tx:
        entries = audit.entries(tx)
        assert audit.verify(tx).entries == len(entries)
    assert [entry.action for entry in entries] == ["case.acknowledged", "case.comment", "case.link", "case.decided"]
    assert {entry.actor for entry in entries} == {"ada"}
    assert "secret" not in str(entries)


def test_what_people_write_is_masked_before_it_is_stored_or_leaves(store: Store) -> None:
    (case,) = opened(store, "c1")
    masking = Actions("q", "a", SALT, second_share=0.0, redact=lambda text: text.replace("ada@example.org", "*" * 15))
    wrote = CONFIRMED.model_copy(
        update={"corrected_answer": "Ask ada@example.org.", "comment": "ada@example.org knows"}
    )
    with store.database.write() as tx:
        masking.decide(tx, ADA, case.case_id, case.version, wrote, NOW)
        masking.comment(tx, ADA, case.case_id, "told ada@example.org", NOW)
    with store.database.read() as tx:
        (label,) = labels.of_case(tx, case.case_id)
        told = [each.data for each in cases.events(tx, case.case_id)]
    assert (label.corrected_answer, label.comment) == (f"Ask {'*' * 15}.", f"{'*' * 15} knows")
    assert "ada@example.org" not in str(told)
    assert all("ada@example.org" not in str(message.value) for message in messages(store))
