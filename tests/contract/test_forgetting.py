"""Erasure and retention reach every table, and leave everything else alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from services.archive import Archivist, subject_digest
from services.privacy.stored import StoredMessage, StoredPart
from services.store import Database, Store, audit, cases, conversations, labels, outbox, queued_labels
from services.store.conversations import RedactedMessage
from services.store.queued_labels import Arrived
from services.triage.actions import Actions, Actor
from services.triage.case import CaseState, Disposition
from services.triage.forgetting import Forgetting, Retention
from services.triage.label import Decision
from tests.retraining_data import queued
from tests.triage_data import NOW, SALT, event, verdict

ADA = Actor("ada", None)
QUEUE = "plumbline.retraining.queue"


def as_it_is(message, position):  # type: ignore[no-untyped-def]
    parts = tuple(StoredPart(type="text", text=part.content) for part in message.parts if hasattr(part, "content"))
    return RedactedMessage(StoredMessage(position=position, id=message.id, role=message.role, parts=parts), b"sealed")


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database.engine)


@pytest.fixture
def forgetting(database: Database) -> Forgetting:
    return Forgetting(database, queue_topic=QUEUE, salt=SALT)


def record(store: Store, conversation: str, *, subject: str | None = None, flagged: bool = True) -> None:
    attributes = {"user.id": subject} if subject else {}
    of = event(conversation, attributes=attributes, agent={"name": f"agent-{conversation}"})
    fields = {} if flagged else {"flagged": ()}
    store.record([verdict(of, **fields)], [], [Archivist(as_it_is, salt=SALT).redacted(of)], now=NOW)


def decide(store: Store, conversation: str) -> None:
    actions = Actions(QUEUE, "plumbline.alerts", SALT, second_share=1.0)
    with store.database.write() as tx:
        member = cases.member(tx, "acme", conversation)
        assert member is not None
        case = cases.get(tx, member.case_id)
        assert case is not None
        decision = Decision(disposition=Disposition.CONFIRMED, conversation_id=conversation, comment="she asked for it")
        actions.decide(tx, ADA, case.case_id, case.version, decision, NOW)
        actions.comment(tx, ADA, case.case_id, "call her", NOW)


def keep_for_retraining(database: Database, conversation: str) -> None:
    """As the retrainer does with what the queue says."""
    with database.write() as tx:
        (label,) = labels.of_conversation(tx, "acme", conversation)
        record = queued(conversation, conversation=conversation, comment="she asked for it")
        told = ("acme", conversation, label.disposition.value, "deception", NOW, None, record)
        assert queued_labels.put(tx, Arrived(label.label_id, *told), NOW)


def mentions(database: Database, words: str) -> list[str]:
    """Tables that hold `words` anywhere."""
    found = []
    with database.read() as tx:
        for table in SQLModel.metadata.sorted_tables:
            rows = tx.execute(text(f'SELECT * FROM "{table.name}"')).all()
            if any(words in str(value) for row in rows for value in row):
                found.append(table.name)
    return found


def test_a_person_is_erased_from_every_table(store: Store, forgetting: Forgetting) -> None:
    record(store, "hers-1", subject="user-77")
    record(store, "hers-2", subject="user-77", flagged=False)
    record(store, "his", subject="user-78")
    for conversation in ("hers-1", "his"):
        decide(store, conversation)
        keep_for_retraining(store.database, conversation)
    assert {"conversations", "messages", "verdicts", "cases", "labels", "outbox", "queued_labels"} <= set(
        mentions(store.database, "hers-1")
    )
    erased = forgetting.erase_subject("acme", "user-77", actor="root", reason="asked by letter", now=NOW)
    assert (erased.conversations, erased.messages, erased.verdicts, erased.labels, erased.cases) == (2, 6, 2, 1, 1)
    assert erased.queued_labels == 1
    # What is left of the name is what tells those who were sent labels to forget them, until it has left.
    assert mentions(store.database, "hers-1") == ["outbox"]
    assert mentions(store.database, "user-77") == []
    assert mentions(store.database, "she asked for it") == ["labels", "queued_labels"]  # of him
    with store.database.read() as tx:
        told = [message.value for message in outbox.due(tx, NOW + timedelta(days=1), limit=10)]
        assert audit.verify(tx).broken_at is None
        assert audit.latest(tx, limit=1)[0].action == "erase"
    assert [value["conversation_id"] for value in told if value.get("kind") == "erased"] == ["hers-1", "hers-2"]
    assert [value["conversation_id"] for value in told if value.get("kind") == "label"] == ["his"]
    assert "his" in [case.lead_conversation_id for case in store.cases(limit=10, now=NOW)]


def test_a_case_of_several_conversations_stays_with_the_others(store: Store, forgetting: Forgetting) -> None:
    for conversation in ("first-one", "second-one"):
        of = event(conversation)
        store.record([verdict(of)], [], [Archivist(as_it_is, salt=SALT).redacted(of)], now=NOW)
    (case,) = store.cases(limit=10, now=NOW)
    assert (case.conversations, case.lead_conversation_id) == (2, "first-one")
    forgetting.erase_conversation("acme", "first-one", actor="root", reason="asked", now=NOW)
    (left,) = store.cases(limit=10, now=NOW)
    assert (left.conversations, left.lead_conversation_id, left.sketch) == (1, "second-one", None)
    assert left.state is CaseState.OPEN
    assert [each for each in mentions(store.database, "first-one") if each != "outbox"] == []


def test_what_is_too_old_is_forgotten_and_cases_are_kept_longer(store: Store, forgetting: Forgetting) -> None:
    for number in range(130):
        record(store, f"clear-{number}", flagged=False)
    record(store, "flagged")
    retention = Retention(of_cases=timedelta(days=365), of_others=timedelta(days=30))
    assert forgetting.expire(retention, NOW + timedelta(days=29)).conversations == 0
    erased = forgetting.expire(retention, NOW + timedelta(days=31))
    assert (erased.conversations, erased.verdicts) == (130, 130)
    with store.database.read() as tx:
        assert conversations.get(tx, "acme", "flagged") is not None
    assert forgetting.expire(retention, NOW + timedelta(days=366)).cases == 1
    assert store.cases(limit=10, now=NOW) == []
    with store.database.read() as tx:
        assert audit.verify(tx).entries == 2


def test_erasing_somebody_unknown_is_remembered_all_the_same(store: Store, forgetting: Forgetting) -> None:
    erased = forgetting.erase_subject("acme", "nobody", actor="root", reason="asked", now=NOW)
    assert erased.conversations == 0
    assert mentions(store.database, subject_digest("nobody", SALT)) == ["audit_log", "erasures"]
    assert mentions(store.database, "nobody") == []


def test_digests_of_people_need_the_salt() -> None:
    assert subject_digest("u", SALT) == subject_digest("u", SALT)
    assert subject_digest("u", SALT) != subject_digest("u", b"another salt 123")
    assert subject_digest("u", SALT) != subject_digest("v", SALT)


def test_words_that_were_said_find_cases(store: Store) -> None:
    from services.triage.queue import CaseFilter, Order

    record(store, "c1")

    def found(words: str) -> list[str]:
        with store.database.read() as tx:
            wanted = CaseFilter(tenants=None, words=words)
            return [c.lead_conversation_id for c in cases.page(tx, wanted, Order.NEWEST, None, limit=5, now=NOW)]

    assert found("invoices SETTLED") == ["c1"]
    assert found("settl invoi") == ["c1"]
    assert found("settled elephants") == []
    assert found("c1") == ["c1"]
    for hostile in ("'", "a' OR '1'='1", "%", "_", "!", "a & b | !c", ":*", "\\", "'; DROP TABLE cases; --"):
        assert found(hostile) == [] or hostile.strip() == ""


def test_a_conversation_is_kept_once_and_the_latest_past_counts(store: Store) -> None:
    archivist = Archivist(as_it_is, salt=SALT)
    of = event()
    store.record([], [], [archivist.redacted(of), archivist.redacted(of)], now=NOW)
    changed = event(event_id="e2", messages=[{"role": "user", "content": "something else"}])
    store.record([], [], [archivist.redacted(changed)], now=NOW)
    with store.database.read() as tx:
        kept = conversations.get(tx, "acme", "c1")
        messages = conversations.messages(tx, "acme", "c1")
    assert kept is not None
    assert (kept.messages, len(messages), messages[0].parts[0].text) == (3, 3, "something else")
    assert archivist.redacted(changed).messages == ()


def test_characters_that_not_every_database_takes_stop_nobody(store: Store) -> None:
    from services.settings import load_settings
    from services.triage.configured import archivist_of

    said = [
        {
            "role": "assistant",
            "name": "a\u0000",
            "content": "nul \u0000, bidi \u202e, astral \U0001f600",
            "tool_calls": [{"id": "i\u0000", "name": "t\u0000", "arguments": {"k\u0000": "\u0000"}}],
        },
        {"role": "\u0000", "content": "x"},
    ]
    of = event("nul", messages=said, agent={"name": "n\u0000m", "version": "\u0000"}, model={"name": "\u0000"})
    store.record([verdict(of)], [], [archivist_of(load_settings(), SALT).redacted(of)], now=NOW)
    (case,) = store.cases(limit=10, now=NOW)
    assert case.agent == "n\ufffdm"
    with store.database.read() as tx:
        (first, _) = conversations.messages(tx, "acme", "nul")
    assert first.parts[0].text == "nul \ufffd, bidi \u202e, astral \U0001f600"
