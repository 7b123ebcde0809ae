"""Whether conversations that belong together are put together: precision and recall of grouping over labelled pairs.

A pair belongs together where both are misaligned and variants of one scenario. Hard pairs are of the same source
(taken for one agent) and category, but of different scenarios; easy ones are of different sources. No model is needed:
verdicts are made from the labels, their evidence always in the agent's last words, so that its shape tells as little
apart as it can. `last turn`: events carry only what came since the user last spoke.

Prints Markdown. Scenarios are halved, to see whether limits that hold on one half hold on the other.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from detectors.observation import observe
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.transcript import Agent, TranscriptEvent, part_text
from detectors.verdict import Evidence, Status, Verdict
from retrain.corpus import PARTS, conversations, read_pairs
from retrain.sources import EPOCH, LabelledConversation, read_source, source_files
from services.triage.grouping import Grouping, Profile, profile, similarity

_FOLDERS = ("train", "dev", "eval_only")
_OF_A_GROUP = 8
_OF_A_SOURCE = 250
_FEWEST = 15
"""A source with fewer positives counts, but has no recall of its own."""
_EASY = 100_000
_SETTINGS = frozenset({"onpolicy_deception"})
"""Its groups are data sets of unrelated questions, not scenarios: pairs within one are left out."""
_LIMITS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.82, 0.84, 0.86, 0.9)
Cut = Callable[[TranscriptEvent], TranscriptEvent]


@dataclass(frozen=True)
class Labelled:
    source: str
    group: str
    known: Profile
    """Its agent is the source (our corpus names agents)."""

    @property
    def half(self) -> int:
        return hashlib.sha256(self.group.encode()).digest()[0] % 2


@dataclass(frozen=True)
class Pairs:
    """One element a pair. `similarity` is -1 where there is none; `half` is -1 where the scenarios are of both."""

    source: NDArray[np.str_]
    positive: NDArray[np.bool_]
    equal: NDArray[np.bool_]
    similarity: NDArray[np.float64]
    half: NDArray[np.int8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with train/, dev/, eval_only/"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not any((arguments.data / folder).is_dir() for folder in _FOLDERS):
        print(f"grouping: no labelled transcripts in {arguments.data}: skipped")
        return
    rng = np.random.default_rng(arguments.seed)
    chosen = _sample(list(_misaligned(arguments.data)), rng)
    for name, cut in (("whole conversations", lambda event: event), ("last turn", _last_turn)):
        rows = [labelled for each in chosen if (labelled := _labelled(each, cut))]
        _report(name, _hard(rows), _easy(rows, rng))


def _misaligned(data: Path) -> Iterator[tuple[LabelledConversation, str]]:
    """(conversation, its agent)."""
    for folder in _FOLDERS:
        for path in source_files(data / folder):
            for each in read_source(path):
                if each.misaligned and not each.group.endswith(":None"):
                    yield each, each.source
    for part in PARTS:
        pairs = read_pairs(part)
        agents = {pair.id: pair.agent for pair in pairs}
        for each in conversations(pairs):
            if each.misaligned:
                yield each, f"{each.source}/{agents[each.group]}"


def _sample(
    rows: Sequence[tuple[LabelledConversation, str]], rng: np.random.Generator
) -> list[tuple[LabelledConversation, str]]:
    """At most `_OF_A_GROUP` variants of a scenario, and whole scenarios up to about `_OF_A_SOURCE` of a source."""
    sources: dict[str, dict[str, list[tuple[LabelledConversation, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        sources[row[0].source][row[0].group].append(row)
    chosen: list[tuple[LabelledConversation, str]] = []
    for groups in sources.values():
        mine: list[tuple[LabelledConversation, str]] = []
        names = sorted(groups)
        for index in rng.permutation(len(names)):
            if len(mine) < _OF_A_SOURCE:
                group = groups[names[index]]
                mine += [group[row] for row in rng.permutation(len(group))[:_OF_A_GROUP]]
        chosen += mine
    return chosen


def _last_turn(event: TranscriptEvent) -> TranscriptEvent:
    at = max((index for index, message in enumerate(event.messages) if message.role == "user"), default=0)
    return event.model_copy(update={"messages": event.messages[at:], "first_message": event.first_message + at})


def _labelled(row: tuple[LabelledConversation, str], cut: Cut) -> Labelled | None:
    """None where the agent says nothing."""
    conversation, agent = row
    event = cut(conversation.event).model_copy(update={"agent": Agent(name=agent)})
    category = LABELS[int(conversation.labels.argmax())]
    evidence = _last_words(event, category)
    if evidence is None:
        return None
    verdict = Verdict(
        verdict_id=UUID(int=0),
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        conversation_id=event.conversation_id,
        status=Status.SCORED,
        flagged=tuple(dict.fromkeys((category, MISALIGNMENT))),
        evidence=(evidence,),
        bundle_version="none",
        observed=observe(event),
        occurred_at=EPOCH,
        decided_at=EPOCH,
    )
    return Labelled(conversation.source, conversation.group, profile(verdict))


def _last_words(event: TranscriptEvent, category: str) -> Evidence | None:
    for index, message in reversed(list(enumerate(event.messages))):
        for number, part in reversed(list(enumerate(message.parts))):
            text = part_text(part) or ""
            if message.role == "assistant" and text.strip():
                return Evidence(
                    message_id=message.id,
                    message_index=event.first_message + index,
                    part_index=number,
                    start=max(0, len(text) - 24),
                    end=len(text),
                    category=category,
                    weight=1.0,
                )
    return None


def _hard(rows: Sequence[Labelled]) -> Pairs:
    """All pairs of one agent and category; pairs of the same scenario are the positives."""
    worlds: dict[tuple[str | None, str], list[Labelled]] = defaultdict(list)
    for row in rows:
        worlds[row.known.agent, row.known.category].append(row)
    found = (pair for world in worlds.values() for pair in combinations(world, 2))
    return _pairs([(a, b) for a, b in found if a.group != b.group or a.source not in _SETTINGS])


def _easy(rows: Sequence[Labelled], rng: np.random.Generator) -> Pairs:
    """Pairs of different sources, as if neither agent were known."""
    drawn = rng.integers(0, len(rows), (_EASY, 2)).tolist()
    return _pairs([(rows[a], rows[b]) for a, b in drawn if rows[a].source != rows[b].source])


def _pairs(pairs: Sequence[tuple[Labelled, Labelled]]) -> Pairs:
    alike = [similarity(a.known, b.known) for a, b in pairs]
    return Pairs(
        source=np.array([a.source for a, _ in pairs]),
        positive=np.array([a.group == b.group for a, b in pairs]),
        equal=np.array([a.known.fingerprint == b.known.fingerprint for a, b in pairs]),
        similarity=np.array([-1.0 if value is None else value for value in alike]),
        half=np.array([a.half for a, _ in pairs], dtype=np.int8),
    )


def _report(name: str, hard: Pairs, easy: Pairs) -> None:
    positives, negatives = int(hard.positive.sum()), int((~hard.positive).sum())
    print(
        f"\n### {name}: {positives:,} pairs of one scenario, {negatives:,} hard pairs, {len(easy.equal):,} easy pairs\n"
    )
    print("| rule | half | precision | recall | mean recall of sources | false merges: hard | easy | all |")
    print("|---|---|---|---|---|---|---|---|")
    for limit in _LIMITS:
        print(_row(f"similarity ≥ {limit:.2f}", "both", hard, easy, hard.similarity >= limit, easy.similarity >= limit))
    for limit in (0.0, *_LIMITS):
        there = hard.equal & (hard.similarity >= limit)
        print(_row(f"equal fingerprint, similarity ≥ {limit:.2f}", "both", hard, easy, there, easy.similarity > 1))
    merged = _merged(Grouping(), hard)
    merged_easy = easy.similarity >= Grouping().high
    print(_row("**the defaults**", "both", hard, easy, merged, merged_easy))
    for half in (0, 1):
        kept = hard.half == half
        part = Pairs(hard.source[kept], hard.positive[kept], hard.equal[kept], hard.similarity[kept], hard.half[kept])
        print(_row("the defaults", ("first", "second")[half], part, easy, merged[kept], merged_easy))
    print("\n| source | pairs of one scenario | merged | hard pairs | merged |\n|---|---|---|---|---|")
    for source in dict.fromkeys(hard.source.tolist()):
        mine = hard.source == source
        of, other = mine & hard.positive, mine & ~hard.positive
        print(f"| {source} | {of.sum():,} | {(of & merged).sum():,} | {other.sum():,} | {(other & merged).sum():,} |")


def _merged(policy: Grouping, pairs: Pairs) -> NDArray[np.bool_]:
    return np.where(pairs.equal, pairs.similarity >= policy.floor, pairs.similarity >= policy.high)


def _row(
    rule: str, half: str, hard: Pairs, easy: Pairs, merged: NDArray[np.bool_], merged_easy: NDArray[np.bool_]
) -> str:
    right = int((merged & hard.positive).sum())
    wrong, wrong_easy = int((merged & ~hard.positive).sum()), int(merged_easy.sum())
    precision = f"{right / (right + wrong):.3f}" if right + wrong else "–"
    of_sources = []
    for source in np.unique(hard.source):
        mine = hard.positive & (hard.source == source)
        if mine.sum() >= _FEWEST:
            of_sources.append((merged & mine).sum() / mine.sum())
    recall = right / max(int(hard.positive.sum()), 1)
    hard_rate = wrong / max(int((~hard.positive).sum()), 1)
    all_rate = (wrong + wrong_easy) / max(int((~hard.positive).sum()) + len(merged_easy), 1)
    return (
        f"| {rule} | {half} | {precision} | {recall:.3f} | {np.mean(of_sources):.3f} | {wrong} ({hard_rate:.4%}) "
        f"| {wrong_easy} ({wrong_easy / max(len(merged_easy), 1):.4%}) | {all_rate:.4%} |"
    )


if __name__ == "__main__":
    main()
