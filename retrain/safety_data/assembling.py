"""From judged conversations to the rows of every file. Pure: the same input gives the same rows in the same order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from retrain.safety_data.anonymity import anonymised
from retrain.safety_data.answers import correction, preference
from retrain.safety_data.coverage import Coverage, coverage_of
from retrain.safety_data.held_out import HeldOut
from retrain.safety_data.judged import Basis, Judged, Outcome, agreed
from retrain.safety_data.refusals import refusal
from retrain.safety_data.rewards import reward
from retrain.safety_data.rows import Origin, Row, described

SFT: Final = "sft"
PREFERENCES: Final = "preferences"
REWARDS: Final = "rewards"
REFUSALS: Final = "refusals"
FORMATS: Final = (SFT, PREFERENCES, REWARDS, REFUSALS)
_CASES: Final = "cases"  # one row a conversation, for coverage alone

BULK: Final = "bulk"
_UNREADABLE: Final = "no_messages"
_DISPUTED: Final = "disputed"


@dataclass(frozen=True, slots=True)
class Options:
    """What to export. `k` below 2: as it is. `suspects`: labels to hold back, and why."""

    formats: tuple[str, ...] = FORMATS
    categories: frozenset[str] = frozenset()
    penalise_reasoning: bool = False
    k: int = 0
    suspects: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assembled:
    """Rows by format; what was held back by format and why; what anonymity left out; how coarse it made columns."""

    files: dict[str, list[Row]]
    held_back: dict[str, dict[str, int]]
    suppressed: dict[str, int]
    levels: dict[str, int]
    coverage: Coverage


def assemble(judged: Sequence[Judged], options: Options, origin: Origin, held_out: HeldOut) -> Assembled:
    """All rows. Raises `HeldOutError` where anything is of a held-out detector."""
    held_out.check(judged)
    why: Counter[str] = Counter()
    usable = list(_usable(judged, options, why))
    files: dict[str, list[Row]] = {}
    held_back: dict[str, dict[str, int]] = {"all": dict(why)} if why else {}
    for name in options.formats:
        made = [row for each in usable for row in _rows(name, each, options, origin)]
        files[name] = [row for row in made if not isinstance(row, str)]
        if reasons := Counter(row for row in made if isinstance(row, str)):
            held_back[name] = dict(reasons)
    files[_CASES] = [_case(each, origin) for each in usable]
    suppressed: dict[str, int] = {}
    levels: dict[str, int] = {}
    if options.k > 1:
        anonymous = anonymised(files, options.k)
        files, suppressed, levels = anonymous.files, anonymous.suppressed, anonymous.levels
    coverage = coverage_of(files.pop(_CASES))
    suppressed.pop(_CASES, None)
    for name, rows in files.items():
        held_out.scan(rows, name)
    return Assembled(files, held_back, suppressed, levels, coverage)


def _usable(judged: Sequence[Judged], options: Options, why: Counter[str]) -> Iterator[Judged]:
    """Conversations whose labels agree, without labels that nobody read a conversation for, in a fixed order."""
    for each in sorted(judged, key=lambda each: each.conversation):
        why.update(options.suspects[label.label_id] for label in each.judgements if label.label_id in options.suspects)
        trusted = tuple(label for label in each.judgements if label.label_id not in options.suspects)
        read = tuple(label for label in trusted if label.source != BULK)
        wanted = tuple(label for label in read if not options.categories or label.category in options.categories)
        if len(read) < len(trusted):
            why[BULK] += len(trusted) - len(read)
        if not each.messages:
            why[_UNREADABLE] += len(wanted)
        elif read and agreed(read) is None:
            why[_DISPUTED] += len(wanted)
        elif wanted:
            yield replace(each, judgements=wanted)


def _rows(name: str, judged: Judged, options: Options, origin: Origin) -> list[Row | str]:
    """Rows of a conversation, and reasons where there is none."""
    if name == REWARDS:
        return [reward(judged, origin, penalise_reasoning=options.penalise_reasoning)]
    found: list[Row | str] = []
    for judgement in judged.judgements:
        match name:
            case "sft":
                found.append(correction(judged, judgement, origin))
            case "preferences":
                reasoning = options.penalise_reasoning
                found.append(preference(judged, judgement, origin, penalise_reasoning=reasoning))
            case "refusals":
                found.append(refusal(judged, judgement, origin))
    return _each_answer_once(found)


def _each_answer_once(found: list[Row | str]) -> list[Row | str]:
    """Two people may have written the same answer: the first counts."""
    answers: defaultdict[str, int] = defaultdict(int)
    kept: list[Row | str] = []
    for row in found:
        if not isinstance(row, str):
            answer = repr(row.get("chosen", row.get("completion")))
            answers[answer] += 1
            if answers[answer] > 1:
                continue
        kept.append(row)
    return kept


def _case(judged: Judged, origin: Origin) -> Row:
    judgements = judged.judgements
    answered = any(each.corrected_answer and each.corrected_answer.strip() for each in judgements)
    outcome = judgements[0].outcome
    about = described(judged, judgements, "case", Basis.UNKNOWN, origin)
    return {**about, "outcome": outcome.value, "corrected": outcome is Outcome.CONFIRMED and answered}
