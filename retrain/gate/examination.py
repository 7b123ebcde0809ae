"""One examination from beginning to end: two bundles, a dataset version and canaries become a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.bundle import Bundle
from retrain.corpus import Pair
from retrain.dataset import CutConversation
from retrain.datasets import HeldOut, Manifest
from retrain.gate import budgets, canaries
from retrain.gate.canaries import Canary, watched
from retrain.gate.comparison import Comparison
from retrain.gate.latency import Clock, latency
from retrain.gate.policy import Policy
from retrain.gate.report import CalibrationReport, GateReport, LatencyReport
from retrain.gate.rows import CORPUS_TEST, DEPLOYMENT, Row, deployed, of_pairs, sheet_of, under_attack
from retrain.gate.serving import Contender, Memories, contender, encoder_shared, opinions
from retrain.gate.sheet import Opinions, Sheet, Slice
from retrain.gate.targets import Targets, new_labels
from retrain.progress import Say, within


@dataclass(frozen=True, slots=True)
class Material:
    """What both bundles are held against. `known`: the dataset version that the champion was trained on."""

    dataset: str
    held_out: Sequence[HeldOut]
    pairs: Sequence[Pair]
    canaries: Sequence[Canary]
    new: Mapping[Slice, int]
    """New training labels of the candidate, by slice."""

    @classmethod
    def of(
        cls,
        dataset: Manifest,
        known: Manifest | None,
        held_out: Sequence[HeldOut],
        pairs: Sequence[Pair],
        canaries: Sequence[Canary],
    ) -> Material:
        return cls(dataset.name, held_out, pairs, canaries, new_labels(dataset, known))


def examine(
    champion: Bundle, candidate: Bundle, material: Material, policy: Policy, *, threads: int, clock: Clock, say: Say
) -> GateReport:
    """Raises `BundleError` where one of the two cannot be loaded."""
    began = clock()
    pair = contender(champion, threads=threads), contender(candidate, threads=threads)
    say(0.02, f"loaded {champion.manifest.version} and {candidate.manifest.version}")
    rows = _rows(material, policy)
    cut = _cut(pair, rows, material.canaries, policy)
    say(0.05, f"{len(rows)} conversations and {len(material.canaries)} canaries")
    timed = _latency(pair, cut, policy, clock)
    say(0.1, f"latency: {timed.ratio:.2f} times the champion's")
    before, after = _opinions(pair, cut, say)
    say(0.95, "both have read everything")
    sheet = sheet_of(rows, _tokens(cut[0][: len(rows)]))
    seen = _first(before, len(rows)), _first(after, len(rows))
    sizes = budgets.size(champion.manifest, candidate.manifest, policy)
    calibrations = list(_calibrations(sheet, seen, policy))
    slices, worse = Comparison(sheet, *seen, policy).slices()
    nothing = np.zeros(len(rows), dtype=np.bool_)
    own = sheet.members.get(DEPLOYMENT, nothing)
    aims, missed = Targets(material.new, policy).measured(sheet, own, *seen)
    heard = _rest(before, len(rows)), _rest(after, len(rows))
    lenient = policy.canaries_missed_with_champion
    watch = watched(material.canaries, *heard, missed_with_champion=lenient)
    refusals = (
        *budgets.silent(sheet, (champion.manifest, seen[0]), (candidate.manifest, seen[1])),
        *worse,
        *missed,
        *budgets.over_budget(sizes, timed, calibrations),
        *canaries.refusals(watch, missed_with_champion=lenient),
    )
    return GateReport(
        passed=not refusals,
        champion=champion.manifest.version,
        candidate=candidate.manifest.version,
        dataset=material.dataset,
        refusals=refusals,
        slices=tuple(slices),
        targets=tuple(aims),
        latency=timed,
        size=sizes,
        calibration=tuple(calibrations),
        canaries=watch,
        encoder_shared=encoder_shared(champion, candidate),
        rows=len(rows),
        seconds=round(clock() - began, 1),
        policy=policy,
    )


def _rows(material: Material, policy: Policy) -> list[Row]:
    return [
        *deployed(material.held_out),
        *of_pairs(material.pairs),
        *under_attack(material.pairs, per_attack=policy.red_team_pairs),
    ]


Cut = tuple[list[CutConversation], list[CutConversation]]
"""For champion and candidate: the rows, then the canaries."""


def _cut(pair: tuple[Contender, Contender], rows: Sequence[Row], watch: Sequence[Canary], policy: Policy) -> Cut:
    conversations = [*(row.conversation for row in rows), *(each.conversation for each in watch)]
    first = pair[0].cut(conversations, max_windows=policy.max_windows)
    if pair[1].cutting == pair[0].cutting:
        return first, first
    return first, pair[1].cut(conversations, max_windows=policy.max_windows)


def _tokens(cut: Sequence[CutConversation]) -> NDArray[np.int64]:
    return np.asarray([sum(len(window) for window in each.windows) for each in cut], dtype=np.int64)


def _latency(pair: tuple[Contender, Contender], cut: Cut, policy: Policy, clock: Clock) -> LatencyReport:
    """On conversations from all over the rows, of those that both have something to read in."""
    readable = [place for place, both in enumerate(zip(*cut, strict=True)) if all(each.windows for each in both)]
    step = max(1, len(readable) // policy.latency_conversations)
    chosen = readable[::step][: policy.latency_conversations]
    first, second = ([each[place] for place in chosen] for each in cut)
    one, other = ((lambda item, served=each.served: served.score([item])) for each in pair)
    return latency((one, first), (other, second), policy, clock=clock)


def _opinions(pair: tuple[Contender, Contender], cut: Cut, say: Say) -> tuple[Opinions, Opinions]:
    memories = Memories()
    for each in pair:
        memories.attach(each)
    first = opinions(pair[0], cut[0], share=within(say, 0.1, 0.5, "the champion reads"))
    return first, opinions(pair[1], cut[1], share=within(say, 0.5, 0.95, "the candidate reads"))


def _first(each: Opinions, count: int) -> Opinions:
    return Opinions(each.probabilities[:count], each.flagged[:count], each.scored[:count])


def _rest(each: Opinions, count: int) -> Opinions:
    return Opinions(each.probabilities[count:], each.flagged[count:], each.scored[count:])


def _calibrations(sheet: Sheet, seen: tuple[Opinions, Opinions], policy: Policy) -> Iterator[CalibrationReport]:
    """On the deployment's own, which decides where it has enough; and on the pairs."""
    decided = False
    for name in (DEPLOYMENT, CORPUS_TEST):
        rows = sheet.members.get(name)
        if rows is not None and sheet.groups_with(rows) >= policy.fewest_to_calibrate:
            yield budgets.calibration(name, sheet, rows, *seen, policy, decides=not decided)
            decided = True


def dataset_of(champion: Bundle, datasets: Path) -> Path | None:
    """The folder in `datasets` of the version that the champion was trained on, where it is known and there."""
    recorded: Any = champion.manifest.data.get("dataset")
    name = recorded.get("name") if isinstance(recorded, dict) else None
    folder = datasets / Path(str(name)).name
    return folder if name and folder.is_dir() else None
