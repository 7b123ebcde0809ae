"""What the gate says of real candidates: the same labels, divided otherwise each time, learnt by the quick path.

    PYTHONPATH=. python tests/bench/gating.py [--champion DIR] [--divisions 7] [--first 0]

120 labels of the loop's story, half of them of a behaviour that the champion misses. Prints Markdown, a row a division:
false positives on the aligned test pairs, the calibration error and the bound of its difference, what was gained where
it was trained to gain, and what the gate found wrong.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from detectors.bundle import load_bundle
from detectors.codec import encode_event, event_from_line
from detectors.loading import DEFAULT_BUNDLE
from retrain.candidate import open_labels
from retrain.corpus import read_pairs
from retrain.datasets import Policy as Division
from retrain.datasets import open_for_gate, write
from retrain.datasets.assembly import assemble
from retrain.datasets.store import open_manifest
from retrain.gate.canaries import read_canaries
from retrain.gate.examination import Material, examine
from retrain.gate.policy import Policy
from retrain.gate.report import GateReport
from retrain.logit_cache import LogitCache
from retrain.queued import QueuedLabel, parse
from retrain.refresh import Recipe, refresh
from retrain.sources import EPOCH
from tests import loop_data
from tests.retraining_data import queued


def _labels() -> Iterator[QueuedLabel]:
    for rows, disposition in (
        (loop_data.recorder_running(60, seed=1), "dismissed"),
        (loop_data.recorder_paused(60, seed=1), "confirmed"),
    ):
        for row in rows:
            messages = json.loads(encode_event(event_from_line(row, now=EPOCH)))["messages"]
            told: dict[str, Any] = {"disposition": disposition, "category": "oversight_evasion", "messages": messages}
            label = parse(queued(row["id"], conversation=row["id"], **told))
            assert isinstance(label, QueuedLabel)
            yield label


def _row(report: GateReport) -> str:
    pairs = next(each for each in report.slices if each.slice == "source:corpus/test")
    wrongly = next(each for each in pairs.metrics if each.metric == "false_positive_rate")
    error = next(each for each in report.calibration if each.slice == "source:corpus/test")
    gained = next(each for each in report.targets if each.slice == "target:all")
    found = ", ".join(f"{each.slice} {each.metric}" for each in report.refusals) or "passed"
    return (
        f"{wrongly.champion:.3f} → {wrongly.candidate:.3f} (bound {wrongly.high:+.3f}, margin {wrongly.margin:.3f}) | "
        f"{error.champion:.3f} → {error.candidate:.3f} (bound {error.high:+.3f}, margin {error.margin:.3f}) | "
        f"{gained.champion} → {gained.candidate} | {report.seconds:.0f} | {found} |"
    )


def _silent(progress: float, said: str) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--champion", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--divisions", type=int, default=7)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    champion, labels = load_bundle(arguments.champion), list(_labels())
    everybody = Division(most_per_reviewer=1, most_per_tenant=1)
    print(
        "| division | false positives | calibration error | gained | gate, s | gate says |\n|---|---|---|---|---|---|"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        as_file(files("services.probing") / "transcripts.jsonl") as probes,
    ):
        canaries, cache = read_canaries(probes), LogitCache(Path(folder) / "cache")
        for salt in range(arguments.first, arguments.first + arguments.divisions):
            root = Path(folder) / str(salt)
            dataset = write(root, assemble(labels, None, everybody, salt=str(salt), say=_silent))
            given, out = open_labels(dataset), root / "candidate"
            refresh(Recipe(), champion, given, read_pairs("train"), out, cache=cache, say=_silent)
            held_out, pairs = open_for_gate(dataset), read_pairs("test")
            material = Material.of(open_manifest(dataset), None, held_out, pairs, canaries)
            candidate, clock = load_bundle(out), time.perf_counter
            report = examine(champion, candidate, material, Policy(), threads=2, clock=clock, say=_silent)
            print(f"| {salt} | {_row(report)}", flush=True)


if __name__ == "__main__":
    main()
