"""What a label, confirmed or dismissed, says to those who retrain detectors: a record of `plumbline.retraining.queue`.

`kind` is `label`, `withdrawn` where a label that had left was taken back, or `erased`. A label's `disposition` is
`confirmed` or `dismissed`. `label_id` is the same however often a record comes. Reviewers are told apart by a keyed
digest, and nothing says who they are. Texts are as stored: redacted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from detectors.verdict import Verdict
from services.triage.case import Case
from services.triage.label import Label

SCHEMA_VERSION: Final = 1


def labelled(
    label: Label, case: Case, verdict: Verdict, messages: Sequence[dict[str, Any]] | None, *, salt: bytes
) -> dict[str, Any]:
    """The record of a label. `messages` in OpenTelemetry's form; None where they were not recorded."""
    observed = verdict.observed
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "label",
        "label_id": str(label.label_id),
        "supersedes": None if label.supersedes is None else str(label.supersedes),
        "case_id": str(case.case_id),
        "fingerprint": case.fingerprint,
        "tenant_id": label.tenant_id,
        "conversation_id": label.conversation_id,
        "event_id": verdict.event_id,
        "verdict_id": str(verdict.verdict_id),
        "disposition": label.disposition.value,
        "category": label.category or case.category,
        "detected": {"flagged": list(verdict.flagged), "scores": verdict.scores, "misalignment": verdict.misalignment},
        "spans": [span.model_dump(mode="json") for span in label.spans],
        "evidence": [item.model_dump(mode="json") for item in verdict.evidence],
        "corrected_answer": label.corrected_answer,
        "messages": None if messages is None else list(messages),
        "agent": observed.agent.model_dump(mode="json") if observed else {},
        "model": observed.model.model_dump(mode="json") if observed else {},
        "deployment": observed.deployment.model_dump(mode="json") if observed else {},
        "bundle_version": label.bundle_version,
        "origin": case.origin.value,
        "source": label.source.value,
        "blind": label.blind,
        "reviewer": reviewer_digest(label.reviewer, salt),
        "labelled_at": label.created_at.isoformat(),
    }


def withdrawn(label: Label, at: datetime) -> dict[str, Any]:
    """The record that takes a label back."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "withdrawn",
        "label_id": str(label.label_id),
        "case_id": str(label.case_id),
        "tenant_id": label.tenant_id,
        "conversation_id": label.conversation_id,
        "at": at.isoformat(),
    }


def key_of(tenant_id: str, conversation_id: str) -> str:
    """As on the topic of transcripts: what is said of one conversation stays in order."""
    return f"{tenant_id}/{conversation_id}"


def reviewer_digest(account: str, salt: bytes) -> str:
    """16 hex digits that stand for a reviewer, and for nobody without the salt."""
    return hashlib.blake2b(account.encode(), key=salt[:64], digest_size=8).hexdigest()


def erased(tenant_id: str, conversation_id: str, label_ids: Sequence[str], at: datetime) -> dict[str, Any]:
    """The record that says to forget a conversation, and everything that was made of it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "erased",
        "tenant_id": tenant_id,
        "conversation_id": conversation_id,
        "label_ids": list(label_ids),
        "at": at.isoformat(),
    }
