"""How each reviewer decides: how much, how fast, and whether otherwise than the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from services.triage.agreement import standing
from services.triage.case import Disposition
from services.triage.estimates import Estimate, Tally, between, jeffreys, wilson
from services.triage.label import Label, Source

_SIDES = (Disposition.CONFIRMED, Disposition.DISMISSED)


@dataclass(frozen=True, slots=True)
class Bias:
    """By how much more often than the others (0.1: ten points) a reviewer confirms, among the same kinds of
    conversations. An interval on one side of 0 is worth a talk."""

    reviewer: str
    confirms: float
    others_confirm: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class ReviewerStatistics:
    """Of labels that stand. `overturned`: of those that got a blind second look, by it."""

    reviewer: str
    decisions: int
    median_seconds: float | None
    unsure: Estimate | None
    overturned: Estimate | None


def biases(
    labels: Iterable[Label], kind: Callable[[Label], str], rng: np.random.Generator, *, draws: int = 10_000
) -> list[Bias]:
    """Of each reviewer, by name, whose kinds of conversations others decided about, too.

    `kind` says what is alike enough to compare, such as the detectors' category; each kind weighs as much as the
    reviewer's labels of it.
    """
    tallies = _tallies(standing(labels), kind)
    found = []
    for reviewer in sorted({reviewer for by in tallies.values() for reviewer in by}):
        compared = [
            (by[reviewer], _sum(tally for other, tally in by.items() if other != reviewer))
            for _, by in sorted(tallies.items())
            if reviewer in by and len(by) > 1
        ]
        if compared:
            found.append(_bias(reviewer, compared, rng, draws))
    return found


def statistics(labels: Iterable[Label]) -> list[ReviewerStatistics]:
    """Of each reviewer, by name."""
    kept = standing(labels)
    by_reviewer: dict[str, list[Label]] = defaultdict(list)
    for label in kept:
        by_reviewer[label.reviewer].append(label)
    overturned = _overturned(kept)
    return [
        ReviewerStatistics(
            reviewer,
            len(mine),
            median(timed) if (timed := [each.seconds for each in mine if each.seconds is not None]) else None,
            wilson(Tally(sum(each.disposition is Disposition.UNSURE for each in mine), len(mine))),
            wilson(overturned[reviewer]) if reviewer in overturned else None,
        )
        for reviewer, mine in sorted(by_reviewer.items())
    ]


def _tallies(labels: Sequence[Label], kind: Callable[[Label], str]) -> Mapping[str, Mapping[str, Tally]]:
    """Of each kind, by reviewer."""
    found: dict[str, dict[str, list[Disposition]]] = defaultdict(lambda: defaultdict(list))
    for label in labels:
        if label.disposition in _SIDES and label.source is not Source.BULK:
            found[kind(label)][label.reviewer].append(label.disposition)
    return {name: {reviewer: Tally.of(given) for reviewer, given in by.items()} for name, by in found.items()}


def _bias(reviewer: str, compared: Sequence[tuple[Tally, Tally]], rng: np.random.Generator, draws: int) -> Bias:
    """`compared`: (the reviewer's, the others') of each kind."""
    total = sum(mine.decided for mine, _ in compared)
    confirms = others_confirm = 0.0
    drawn = np.zeros(draws)
    for mine, others in compared:
        weight = mine.decided / total
        confirms += weight * mine.confirmed / mine.decided
        others_confirm += weight * others.confirmed / others.decided
        drawn += weight * (jeffreys(mine, rng, draws) - jeffreys(others, rng, draws))
    return Bias(reviewer, confirms, others_confirm, between(confirms - others_confirm, drawn, total))


def _sum(tallies: Iterable[Tally]) -> Tally:
    given = list(tallies)
    return Tally(sum(each.confirmed for each in given), sum(each.decided for each in given))


def _overturned(labels: Sequence[Label]) -> Mapping[str, Tally]:
    """By reviewer: of how many of their labels a second one says the opposite. An unsure one says nothing."""
    firsts: dict[tuple[str, str], list[Label]] = defaultdict(list)
    for label in labels:
        if label.source is not Source.SECOND and label.disposition in _SIDES:
            firsts[label.tenant_id, label.conversation_id].append(label)
    contradicted: dict[str, list[bool]] = defaultdict(list)
    for second in labels:
        if second.source is Source.SECOND and second.disposition in _SIDES:
            for first in firsts[second.tenant_id, second.conversation_id]:
                if first.reviewer != second.reviewer:
                    contradicted[first.reviewer].append(first.disposition is not second.disposition)
    return {reviewer: Tally(sum(found), len(found)) for reviewer, found in contradicted.items()}
