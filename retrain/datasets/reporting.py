"""A version's manifest, with its report: what came in, what did not, and what was suspicious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from retrain.datasets.dominance import Dominance
from retrain.datasets.example import Example, Part
from retrain.datasets.manifest import Dataset, Manifest, counted, name_of, rows_digest, sources_of
from retrain.datasets.policy import Policy, Reason
from retrain.datasets.triggers import Phrase

_SHOWN: Final = 5
"""Labels of a phrase that are named, for somebody to look at."""


@dataclass(frozen=True, slots=True)
class Findings:
    """`contested`: held-out examples that most reviewers would decide otherwise by now."""

    phrases: tuple[Phrase, ...]
    dominance: tuple[Dominance, ...]
    contested: int
    clusters: int
    new: int


def version(
    parts: Mapping[Part, tuple[Example, ...]],
    held_back: Mapping[str, Reason],
    *,
    seen: Iterable[str],
    policy: Policy,
    previous: Dataset | None,
    findings: Findings,
) -> Dataset:
    """A version under its name; `previous` where it comes to the same."""
    labels = {part: tuple(sorted(label for each in parts[part] for label in each.label_ids)) for part in Part}
    reasons = {
        reason: tuple(sorted(label for label, why in held_back.items() if why is reason))
        for reason in sorted(set(held_back.values()))
    }
    manifest = Manifest(
        name=f"ds-{0:012x}",
        parent=previous.name if previous else None,
        policy=policy,
        sources=sources_of(parts),
        parts={part: rows_digest(parts[part]) for part in Part},
        counts=counted(parts),
        labels=labels,
        held_back=reasons,
        seen=tuple(sorted(seen)),
        report=_report(parts, held_back, labels, findings, previous),
    )
    if previous and manifest.content == previous.manifest.content:
        return previous
    return Dataset(manifest.model_copy(update={"name": name_of(manifest)}), parts)


def _report(
    parts: Mapping[Part, Sequence[Example]],
    held_back: Mapping[str, Reason],
    labels: Mapping[Part, Sequence[str]],
    findings: Findings,
    previous: Dataset | None,
) -> dict[str, JsonValue]:
    given = {*held_back, *(label for mine in labels.values() for label in mine)}
    return {
        "labels": len(given),
        "examples": {part.value: len(parts[part]) for part in Part},
        "held_back": {reason.value: count for reason, count in sorted(Counter(held_back.values()).items())},
        "new": findings.new,
        "gone": len(previous.manifest.given() - given) if previous else 0,
        "contested": findings.contested,
        "clusters": findings.clusters,
        "phrases": [_phrase(each) for each in findings.phrases],
        "dominance": [_dominance(each) for each in findings.dominance],
    }


def _phrase(phrase: Phrase) -> JsonValue:
    shown = sorted(label for each in phrase.examples for label in each.example.label_ids)[:_SHOWN]
    return {
        "phrase": phrase.digest,
        "words": phrase.words,
        "disposition": phrase.disposition,
        "clusters": phrase.clusters,
        "examples": len(phrase.examples),
        "label_ids": [*shown],
    }


def _dominance(found: Dominance) -> JsonValue:
    return {
        "kind": found.kind,
        "who": found.who,
        "category": found.category,
        "disposition": found.disposition,
        "examples": found.examples,
        "given": found.given,
        "held_back": len(found.held_back),
    }
