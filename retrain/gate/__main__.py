"""Whether a candidate may take the champion's place.

    python -m retrain.gate --champion DIR --candidate DIR --dataset DIR --canaries FILE.jsonl --out report.json

Progress goes to standard output as JSON lines. Exit status: 0 passed, 3 refused (the report says why), 1 anything
else. A model card of the candidate, from the report's numbers, comes to lie beside the report.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from detectors.bundle import Bundle, load_bundle
from detectors.errors import BundleError
from retrain.corpus import read_pairs
from retrain.datasets import open_for_gate
from retrain.datasets.store import open_manifest
from retrain.gate.canaries import read_canaries
from retrain.gate.card import card
from retrain.gate.examination import Material, dataset_of, examine
from retrain.gate.policy import Policy
from retrain.gate.report import GateReport
from retrain.leaving import leave
from retrain.progress import JsonLines

PASSED, FAILED, REFUSED = 0, 1, 3


def main(argv: list[str] | None = None) -> int:
    """Exit status."""
    told = _arguments(argv)
    say = JsonLines(sys.stdout)
    try:
        told.out.parent.mkdir(parents=True, exist_ok=True)
        champion, candidate = load_bundle(told.champion), load_bundle(told.candidate)
        policy = Policy.model_validate_json(told.policy)
        material = _material(champion, told.dataset, told.canaries)
        report = examine(champion, candidate, material, policy, threads=told.threads, clock=time.perf_counter, say=say)
        _put(told.card or told.out.with_name("card.md"), card(candidate.manifest, report))
        _put(told.out, report.model_dump_json(indent=1) + "\n")
    except (ValueError, OSError, BundleError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return FAILED
    say(1.0, in_words(report))
    return PASSED if report.passed else REFUSED


def in_words(report: GateReport) -> str:
    """One line: passed, or on how much it failed and where first."""
    if report.passed:
        return f"{report.candidate} passed on {sum(bool(each.metrics) for each in report.slices)} slices"
    first = report.refusals[0]
    return f"{report.candidate} refused for {len(report.refusals)} reasons, first {first.slice}: {first.metric}"


def _material(champion: Bundle, dataset: Path, canaries: Path) -> Material:
    known = dataset_of(champion, dataset.resolve().parent)
    return Material.of(
        open_manifest(dataset),
        open_manifest(known) if known else None,
        open_for_gate(dataset),
        read_pairs("test"),
        read_canaries(canaries),
    )


def _put(path: Path, text: str) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m retrain.gate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--champion", type=Path, required=True, help="folder of the bundle that serves")
    parser.add_argument("--candidate", type=Path, required=True, help="folder of the bundle that would")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the candidate's dataset version")
    parser.add_argument("--canaries", type=Path, required=True, help="JSON lines of transcripts with what is expected")
    parser.add_argument("--out", type=Path, required=True, help="file of the report")
    parser.add_argument("--card", type=Path, help="file of the model card; beside the report if not given")
    parser.add_argument("--policy", default="{}", help="JSON: what differs from the usual policy")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(argv)


if __name__ == "__main__":
    leave(main())
