"""What is done at each stage of a run. Every stage begins with what the one before left, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from detectors.bundle import load_bundle
from detectors.codec.json_bytes import parse
from detectors.errors import BundleError, RecordError
from services.retraining.child import Ending, Watch, watched
from services.retraining.commands import Commands, plain_name
from services.retraining.errors import StageFailed
from services.retraining.ledger import Ledger
from services.retraining.placing import place, place_once
from services.retraining.rollout import Rollouts
from services.retraining.run import Outcome, Run, Stage
from services.retraining.workshop import Workshop, without_held_out, write_lines

_NAMED: Final = "dataset"
_ASSEMBLY: Final = "assembly"
_CARD: Final = "card.md"


@dataclass(frozen=True)
class Stages:
    """Collaborators of all stages. `policy`: of datasets, as their assembly takes it."""

    ledger: Ledger
    workshop: Workshop
    commands: Commands
    rollouts: Rollouts
    policy: Mapping[str, JsonValue]
    clock: Callable[[], datetime]

    def work(self, run: Run, watch: Watch) -> Run:
        """Does the run's stage; the run as it is then. Raises `StageError`, and errors of database and registry."""
        if run.stage is not Stage.ASSEMBLING and not self.workshop.is_whole(run.dataset):
            return self._anew(run)
        after = self._stage(run, watch)
        erased = run.stage in (Stage.TRAINING, Stage.GATING) and not self.workshop.is_whole(run.dataset)
        return self._anew(run) if erased else after

    def _stage(self, run: Run, watch: Watch) -> Run:
        match run.stage:
            case Stage.ASSEMBLING:
                return self.assemble(run, watch)
            case Stage.TRAINING:
                return self.train(run, watch)
            case Stage.GATING:
                return self.gate(run, watch)
            case Stage.PUBLISHING:
                return self.publish(run)
        raise ValueError("a run that has ended has nothing to do")

    def _anew(self, run: Run) -> Run:
        """Something that the dataset held was erased meanwhile: nothing that came of it is used but what is left of
        it, to assemble from.
        """
        left = self.workshop.dataset(run.dataset)
        named = left.name if left else None
        return run.at_stage(Stage.ASSEMBLING, self.clock(), dataset=named, candidate=None, report=None)

    def assemble(self, run: Run, watch: Watch) -> Run:
        """Labels become a dataset version. What the same champion has learnt before is nothing new."""
        before = self.ledger.before(run)
        previous = next(filter(None, (self.workshop.dataset(each.dataset) for each in (run, *before))), None)
        with self.workshop.work(run) as work:
            if not write_lines(work / "labels.jsonl", self.ledger.labels()):
                return run.ended(Outcome.NOTHING_NEW, "there are no labels", self.clock())
            argv = self.commands.assemble(work / "labels.jsonl", previous, work / "datasets", self.policy)
            ending = watched(argv, self.workshop.log(run), watch)
            name = ending.facts.get(_NAMED)
            if ending.refused or not isinstance(name, str):
                return run.ended(Outcome.REFUSED, str(ending.facts.get("said", "no dataset")), self.clock())
            made = work / "datasets" / plain_name(name)
            if not made.is_dir():
                raise StageFailed("the dataset is not where it should be")
            place_once(made, self.workshop.datasets / name)
        facts: dict[str, Any] = {"dataset": name, "report": {_ASSEMBLY: _numbers(ending.facts)}}
        if run.trigger != "manual" and _is_known(name, run, before):
            return run.ended(Outcome.NOTHING_NEW, f"{name} is what the run before learnt from", self.clock(), **facts)
        return run.advanced(self.clock(), **facts)

    def train(self, run: Run, watch: Watch) -> Run:
        """The dataset, without what is held out, and the champion become a candidate."""
        champion = self.rollouts.champion(run)
        with self.workshop.work(run) as work:
            seen = without_held_out(self._dataset(run), work)
            out = work / "candidate"
            argv = self.commands.train(run.mode, champion, seen, out, self.workshop.cache)
            ending = watched(argv, self.workshop.log(run), watch)
            if ending.refused:
                return run.ended(Outcome.REFUSED, str(ending.facts.get("said", "")), self.clock())
            version = _version(out)
            place(out, self.workshop.candidate(run))
        if version == run.champion:
            return run.ended(Outcome.NOTHING_NEW, f"{version} came of it again", self.clock(), candidate=version)
        return run.advanced(self.clock(), candidate=version)

    def gate(self, run: Run, watch: Watch) -> Run:
        """The candidate is held against the champion. Its report is kept either way; it names conversations."""
        champion = self.rollouts.champion(run)
        with self.workshop.work(run) as work, ExitStack() as stack:
            canaries = stack.enter_context(as_file(files("services.probing") / "transcripts.jsonl"))
            out = work / "report.json"
            candidate, dataset = self.workshop.candidate(run), self._dataset(run)
            argv = self.commands.gate(champion, candidate, dataset, canaries, out)
            ending = watched(argv, self.workshop.log(run), watch)
            told = _report(out)
            if (card := work / _CARD).exists():  # the report itself is for the database, where it can be erased from
                place(card, self.workshop.folder(run) / _CARD)
        facts = {"report": {_ASSEMBLY: (run.report or {}).get(_ASSEMBLY), **told}}
        return self._gated(run, ending, facts)

    def _gated(self, run: Run, ending: Ending, facts: dict[str, Any]) -> Run:
        if ending.refused or facts["report"].get("passed") is not True:
            return run.ended(Outcome.REFUSED, refusals_in_words(facts["report"]), self.clock(), **facts)
        return run.advanced(self.clock(), **facts)

    def publish(self, run: Run) -> Run:
        """The candidate is published and on its way."""
        return self.rollouts.publish(run, self.workshop.candidate(run), self.clock)

    def _dataset(self, run: Run) -> Path:
        if run.dataset is None or not self.workshop.is_whole(run.dataset):
            raise StageFailed("the dataset is gone")
        return self.workshop.datasets / run.dataset


def _is_known(dataset: str, run: Run, before: Sequence[Run]) -> bool:
    """Whether the last run that came to a conclusion made the same of the same."""
    last = next((each for each in before if each.outcome is not Outcome.FAILED), None)
    return last is not None and (last.dataset, last.champion, last.mode) == (dataset, run.champion, run.mode)


def refusals_in_words(report: Mapping[str, Any]) -> str:
    """Which slices, by how much: the first ones of a gate's report."""
    found = [_refusal_in_words(each) for each in report.get("refusals", ())]
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    return "; ".join(found[:5]) + more if found else "the gate refused it and did not say why"


def _refusal_in_words(refusal: Mapping[str, Any]) -> str:
    said = f"{refusal.get('slice')}: {refusal.get('metric')}"
    numbers = refusal.get("champion"), refusal.get("candidate")
    if all(isinstance(each, int | float) for each in numbers):
        said += f" {numbers[1]:.3g} after {numbers[0]:.3g}"
    for name, of in (("low", "at worst a difference of"), ("margin", "margin")):
        if isinstance(number := refusal.get(name), int | float):
            said += f", {of} {number:.3g}"
    return said


def _numbers(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the assembly says of its dataset, less its name."""
    return {name: value for name, value in facts.items() if name != _NAMED}


def _version(folder: Path) -> str:
    try:
        return load_bundle(folder).manifest.version
    except BundleError as error:
        raise StageFailed("what came of it is no whole bundle") from error


def _report(path: Path) -> dict[str, Any]:
    try:
        found = parse(path.read_bytes())
    except (OSError, RecordError) as error:
        raise StageFailed("the gate left no report that can be read") from error
    if not isinstance(found, dict):
        raise StageFailed("the gate's report is no object")
    return found
