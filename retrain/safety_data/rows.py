"""What every row says beside its content: where it comes from, and what kind of case it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

from retrain.safety_data.attribution import corrected_at
from retrain.safety_data.describing import domain_of, languages_of, vector_of
from retrain.safety_data.judged import Basis, Judged, Judgement

Row = dict[str, Any]

QUASI_IDENTIFIERS: Final = ("tenant", "agent", "model", "model_version", "language", "domain", "day")
"""What together might single somebody out who was in a conversation: see `retrain.safety_data.anonymity`."""
NOBODY: Final = ""
"""A quasi-identifier that the sender did not give."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is the same for all rows of an export."""

    plumbline: str
    licence: str
    dataset: str | None = None


def described(judged: Judged, judgements: Sequence[Judgement], kind: str, basis: Basis, origin: Origin) -> Row:
    """All columns but the content. `judgements`: those that the row is made of, one at least."""
    latest = max(judgements, key=lambda each: (each.labelled_at, each.label_id))
    labels = sorted(each.label_id for each in judgements)
    language = languages_of(judged)
    return {
        "id": hashlib.blake2b("|".join([kind, *labels]).encode(), digest_size=12).hexdigest(),
        "conversation": judged.conversation,
        "category": latest.category,
        "attack_vector": vector_of(judged, _where(judged, latest), latest.category, language).value,
        "tenant": judged.tenant,
        "agent": judged.agent.name or NOBODY,
        "model": judged.model.name or NOBODY,
        "model_version": judged.model.version or NOBODY,
        "language": language,
        "domain": domain_of(judged),
        "day": latest.labelled_at.astimezone(UTC).date().isoformat(),
        "labelled_at": latest.labelled_at.astimezone(UTC).isoformat(),
        "provenance": _provenance(judgements, labels, basis, origin),
    }


def _where(judged: Judged, judgement: Judgement) -> int:
    found = corrected_at(judged, judgement)
    return found[0] if found is not None else max(judged.positions, default=0)


def _provenance(judgements: Sequence[Judgement], labels: list[str], basis: Basis, origin: Origin) -> Row:
    return {
        "label_ids": labels,
        "dispositions": sorted({each.outcome.value for each in judgements}),
        "reviewers": sorted({each.reviewer for each in judgements}),
        "label_sources": sorted({each.source for each in judgements}),
        "case_origins": sorted({each.origin for each in judgements}),
        "bundle_versions": sorted({each.bundle_version for each in judgements}),
        "arms": sorted({each.arm.value for each in judgements}),
        "detectors": sorted({f"{name} {version}" for each in judgements for name, version in each.detectors}),
        "flagged": sorted({label for each in judgements for label in each.flagged}),
        "attribution": basis.value,
        "dataset": origin.dataset,
        "plumbline": origin.plumbline,
        "licence": origin.licence,
    }
