"""Records of the retraining queue: what triage writes is what the retrainer reads."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.observation import Observation
from detectors.transcript import Agent, Model
from detectors.verdict import Status, Verdict
from retrain.queued import Erased, QueuedLabel, Withdrawn, parse
from services.triage import retraining
from services.triage.case import Case, Disposition, Origin
from services.triage.label import Label, Source, Span

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
SECRET = "my passport number is X1234567"
SPAN = Span(message_id="m1", message_index=1, part_index=0, start=2, end=9)


def decision(**changes: Any) -> Label:
    known: dict[str, Any] = {
        "label_id": uuid4(),
        "case_id": uuid4(),
        "tenant_id": "acme",
        "conversation_id": "c1",
        "verdict_id": uuid4(),
        "reviewer": "alice",
        "disposition": Disposition.CONFIRMED,
        "category": "sabotage",
        "spans": (SPAN,),
        "corrected_answer": "I will not.",
        "comment": "obvious",
        "source": Source.TRIAGE,
        "blind": True,
        "seconds": 3.0,
        "supersedes": None,
        "bundle_version": "b-1",
        "created_at": NOW,
    }
    return Label(**{**known, **changes})


def written(label: Label, messages: list[dict[str, Any]] | None) -> dict[str, Any]:
    known = {"case_id": label.case_id, "fingerprint": "f" * 16, "category": "deception", "origin": Origin.FLAG}
    case = Case(**{**dict.fromkeys(each.name for each in fields(Case)), **known})
    verdict = Verdict(
        verdict_id=label.verdict_id,
        event_id="e1",
        tenant_id="acme",
        conversation_id="c1",
        status=Status.SCORED,
        bundle_version="b-1",
        observed=Observation(agent=Agent(name="bot"), model=Model(name="m", version="2")),
        occurred_at=NOW,
        decided_at=NOW,
    )
    record = retraining.labelled(label, case, verdict, messages, salt=b"s")
    return json.loads(json.dumps(record))


MESSAGES = [{"role": "assistant", "parts": [{"type": "text", "content": "Done."}]}]


def test_what_triage_writes_of_a_label_is_read() -> None:
    label = decision()
    read = parse(written(label, MESSAGES))
    assert isinstance(read, QueuedLabel)
    assert (read.label_id, read.case_id, read.verdict_id) == (label.label_id, label.case_id, label.verdict_id)
    assert (read.key, read.disposition, read.category) == (("acme", "c1"), "confirmed", "sabotage")
    assert read.messages is not None
    assert json.loads(read.messages) == MESSAGES
    assert read.spans[0].model_dump() == SPAN.model_dump()
    assert (read.corrected_answer, read.source, read.blind, read.labelled_at) == ("I will not.", "triage", True, NOW)
    assert (read.agent.name, read.model.version, read.bundle_version) == ("bot", "2", "b-1")
    assert read.reviewer != "alice"


def test_a_label_without_category_or_recording_is_read_as_what_it_was_flagged_as() -> None:
    read = parse(written(decision(disposition=Disposition.DISMISSED, category=None, spans=()), None))
    assert isinstance(read, QueuedLabel)
    assert (read.disposition, read.category, read.messages) == ("dismissed", "deception", None)


def test_what_takes_labels_back_is_read() -> None:
    label = decision()
    taken = parse(json.loads(json.dumps(retraining.withdrawn(label, NOW))))
    assert isinstance(taken, Withdrawn)
    assert (taken.label_id, taken.key, taken.at) == (label.label_id, ("acme", "c1"), NOW)
    gone = parse(json.loads(json.dumps(retraining.erased("acme", "c1", [str(label.label_id)], NOW))))
    assert isinstance(gone, Erased)
    assert (gone.key, gone.label_ids) == (("acme", "c1"), (label.label_id,))


def test_lone_surrogates_are_replaced_so_that_every_file_can_hold_the_text() -> None:
    read = parse({**written(decision(), [{"role": "user", "content": "\ud800x"}]), "corrected_answer": "\udfff"})
    assert isinstance(read, QueuedLabel)
    assert read.messages == '[{"role":"user","content":"\ufffdx"}]'
    assert read.corrected_answer == "\ufffd"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"kind": "praise"}, "kind"),
        ({"kind": ["label"]}, "kind"),
        ({"label_id": SECRET}, "label_id"),
        ({"disposition": SECRET}, "disposition"),
        ({"disposition": "unsure"}, "disposition"),
        ({"category": SECRET}, "category"),
        ({"messages": {"content": SECRET}}, "messages"),
        ({"spans": [{**SPAN.model_dump(), "end": 1}]}, "spans.0"),
        ({"labelled_at": "2026-03-01T09:30:00"}, "labelled_at"),
        ({"tenant_id": ""}, "tenant_id"),
    ],
)
def test_what_cannot_be_read_is_named_and_not_quoted(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=place) as caught:
        parse({**written(decision(), MESSAGES), **changes})
    assert SECRET not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from(["label", "withdrawn", "erased"]),
    st.dictionaries(
        st.sampled_from(sorted({*QueuedLabel.model_fields, *Withdrawn.model_fields, *Erased.model_fields})), JSON
    ),
)
def test_whatever_comes_is_a_record_or_a_value_error(kind: str, noise: dict[str, Any]) -> None:
    record = {**written(decision(label_id=UUID(int=1)), MESSAGES), "at": NOW.isoformat(), "label_ids": [], **noise}
    with suppress(ValueError):  # and nothing else
        assert isinstance(parse({**record, "kind": kind}), QueuedLabel | Withdrawn | Erased)


@pytest.mark.parametrize("record", [None, [], "label", 3])
def test_what_is_no_object_is_refused(record: Any) -> None:
    with pytest.raises(ValueError, match="JSON object"):
        parse(record)
