"""Evidence of a conversation, from all of its verdicts, each place once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Evidence, Verdict

_GRADES = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """One piece of evidence. `number` counts from 1 in the order of reading; `grade` from 1, weak, to 4, strong."""

    number: int
    category: str
    weight: float
    grade: int
    message_index: int
    message_id: str
    part_index: int
    start: int
    end: int


def shown(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Those that count: what a detector says on trial, or held out, is not for people who decide."""
    return [verdict for verdict in verdicts if verdict.arm.decides]


def marks_of(verdicts: Iterable[Verdict]) -> tuple[Mark, ...]:
    """In the order of reading. Where verdicts say the same of a place, the strongest counts; what says only that it is
    misaligned overall is left out where something says how."""
    strongest: dict[tuple[int, str, int, int, int, str], Evidence] = {}
    for verdict in shown(verdicts):
        for item in verdict.evidence:
            key = (item.message_index, item.message_id, item.part_index, item.start, item.end, item.category)
            if item.start < item.end and (key not in strongest or item.weight > strongest[key].weight):
                strongest[key] = item
    kept = [strongest[key] for key in sorted(strongest)]
    said = {(item.message_index, item.part_index, item.start, item.end) for item in kept if _is_specific(item)}
    kept = [i for i in kept if _is_specific(i) or (i.message_index, i.part_index, i.start, i.end) not in said]
    heaviest = max((abs(item.weight) for item in kept), default=0.0)
    return tuple(_mark(number, item, heaviest) for number, item in enumerate(kept, start=1))


def by_importance(marks: Iterable[Mark]) -> list[Mark]:
    """The heaviest first."""
    return sorted(marks, key=lambda mark: (-abs(mark.weight), mark.number))


def of_part(marks: Sequence[Mark], position: int, message_id: str, part_index: int) -> list[Mark]:
    """Marks of one part; none where the message is not the one any more that was judged."""
    return [
        mark
        for mark in marks
        if mark.message_index == position and mark.message_id == message_id and mark.part_index == part_index
    ]


def _is_specific(item: Evidence) -> bool:
    return item.category != MISALIGNMENT


def _mark(number: int, item: Evidence, heaviest: float) -> Mark:
    share = abs(item.weight) / heaviest if heaviest else 0.0
    return Mark(
        number=number,
        category=item.category,
        weight=item.weight,
        grade=min(_GRADES, 1 + int(share * _GRADES)),
        message_index=item.message_index,
        message_id=item.message_id,
        part_index=item.part_index,
        start=item.start,
        end=item.end,
    )
