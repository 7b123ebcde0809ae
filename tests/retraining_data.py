"""Labels as the retraining queue tells of them, and a bundle that is quick to copy. For tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from detectors.bundle import ENCODER, SCREEN, TOKENIZER, load_bundle, write_bundle
from detectors.loading import DEFAULT_BUNDLE
from tests.triage_data import NOW

_NAMESPACE = UUID("0c5f0b0e-1f5e-5c0e-9d5b-7f0f5a3f6e11")


def label_id(name: str) -> UUID:
    return uuid5(_NAMESPACE, name)


def queued(name: str, *, tenant: str = "acme", conversation: str | None = None, **fields: Any) -> dict[str, Any]:
    """The record of a confirmed label called `name`."""
    record = {
        "schema_version": 1,
        "kind": "label",
        "label_id": str(label_id(name)),
        "supersedes": None,
        "case_id": str(label_id(f"case of {name}")),
        "fingerprint": None,
        "tenant_id": tenant,
        "conversation_id": conversation or f"conversation-{name}",
        "event_id": f"event-{name}",
        "verdict_id": str(label_id(f"verdict of {name}")),
        "disposition": "confirmed",
        "category": "deception",
        "detected": {"flagged": ["deception"], "scores": {"deception": 0.9}, "misalignment": 0.9},
        "spans": [],
        "evidence": [],
        "corrected_answer": None,
        "messages": [{"role": "assistant", "parts": [{"type": "text", "content": f"All is settled, says {name}."}]}],
        "agent": {"name": "ledger-bot"},
        "model": {"name": "m"},
        "deployment": {},
        "bundle_version": "b1",
        "origin": "flag",
        "source": "triage",
        "blind": True,
        "reviewer": "0123456789abcdef",
        "labelled_at": NOW.isoformat(),
    }
    return {**record, **fields}


def withdrawn(name: str, *, tenant: str = "acme", conversation: str | None = None) -> dict[str, Any]:
    place = {"tenant_id": tenant, "conversation_id": conversation or f"conversation-{name}"}
    told = {"schema_version": 1, "kind": "withdrawn", "label_id": str(label_id(name)), "at": NOW.isoformat()}
    return {**told, "case_id": str(label_id(f"case of {name}")), **place}


def erased(conversation: str, *names: str, tenant: str = "acme") -> dict[str, Any]:
    place = {"tenant_id": tenant, "conversation_id": conversation}
    told = {"schema_version": 1, "kind": "erased", "at": NOW.isoformat()}
    return {**told, **place, "label_ids": [str(label_id(name)) for name in names]}


@cache
def _description() -> dict[str, Any]:
    manifest = load_bundle(DEFAULT_BUNDLE).manifest
    fields = {name: getattr(manifest, name) for name in type(manifest).model_fields}
    return {name: value for name, value in fields.items() if name not in ("version", "files")}


def small_bundle(folder: Path, **changes: Any) -> str:
    """Writes a bundle that is whole and judges nothing; its version."""
    files = {name: f"no real {name}".encode() for name in (TOKENIZER, SCREEN, ENCODER)}
    return write_bundle(folder, files, **{**_description(), **changes}).version
