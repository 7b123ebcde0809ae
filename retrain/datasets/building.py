"""From what people agree on, or what is held out already, to a candidate."""

from __future__ import annotations

import json
from collections.abc import Container

from detectors.errors import RecordError
from retrain.datasets.candidate import Candidate
from retrain.datasets.consensus import Agreed
from retrain.datasets.example import Example
from retrain.datasets.policy import Reason
from retrain.datasets.reading import Reader, Reading
from retrain.datasets.twins import signature


def built(agreed: Agreed, reader: Reader, before: Example | None, waited: Container[str]) -> Candidate | Reason:
    """An example as people see it now; why there is none otherwise.

    `before`: how the version before has it. `waited`: labels that it held back because there was too much of one.
    """
    if agreed.messages is None:
        return Reason.NO_MESSAGES
    example = _example(agreed, agreed.messages)
    try:
        reading = reader(example.event())
    except RecordError:
        return Reason.UNREADABLE
    if not len(reading.said):
        return Reason.NO_MESSAGES
    same = before is not None and (before.disposition, before.category) == (example.disposition, example.category)
    example = example.model_copy(update={"language": reading.language})
    waits = any(label_id in waited for label_id in example.label_ids)
    return _candidate(example, reading, frozen=False, new=not same, waited=waits)


def frozen(example: Example, reader: Reader) -> Candidate:
    """An example that is held out, as it is."""
    return _candidate(example, reader(example.event()), frozen=True, new=False, waited=False)


def _candidate(example: Example, reading: Reading, *, frozen: bool, new: bool, waited: bool) -> Candidate:
    return Candidate(example, reading, signature(reading.said), signature(reading.words), frozen, new, waited)


def _example(agreed: Agreed, messages: str) -> Example:
    """Spans are those of the latest label that has any, and so is the corrected answer."""
    latest = agreed.latest
    spans = next((label.spans for label in reversed(agreed.labels) if label.spans), ())
    answers = (label.corrected_answer for label in reversed(agreed.labels))
    return Example(
        label_ids=agreed.label_ids,
        tenant_id=latest.tenant_id,
        conversation_id=latest.conversation_id,
        category=agreed.category,
        disposition=latest.disposition,
        language="",
        cluster="",
        messages=messages,
        spans=json.dumps([span.model_dump() for span in spans], separators=(",", ":")),
        corrected_answer=next((answer for answer in answers if answer is not None), None),
        source=latest.source,
        origin=latest.origin,
        reviewers=tuple(sorted({label.reviewer for label in agreed.labels})),
        labelled_at=latest.labelled_at,
        case_ids=tuple(sorted({str(label.case_id) for label in agreed.labels})),
        fingerprint=latest.fingerprint,
        event_id=latest.event_id,
        verdict_id=str(latest.verdict_id),
        bundle_version=latest.bundle_version,
        agent=latest.agent.name,
        agent_version=latest.agent.version,
        model_provider=latest.model.provider,
        model=latest.model.name,
        model_version=latest.model.version,
    )
