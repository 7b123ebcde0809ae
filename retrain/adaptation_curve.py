"""What k confirmed labels of a deployment buy: recall on the rest of it, against k.

python -m retrain.adaptation_curve --data DIR --bundle detectors/bundles/first --output docs/adaptation.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from detectors.bundle import Bundle, load_bundle
from detectors.taxonomy import MISALIGNMENT
from retrain.adaptation import Adapted, adapt, observe
from retrain.dataset import sample
from retrain.evaluation import auroc, recall_at
from retrain.observed import Observed
from retrain.sources import read_source
from retrain.words import FEWEST, LocalScreen

LABELS_GIVEN: Final = (0, 25, 50, 100, 200)
DEPLOYMENTS: Final = (
    "dev/bloom_indicators",
    "eval_only/goal_drift",
    "eval_only/rl_character",
    "eval_only/targeted_manipulation",
)
_HELD_OUT: Final = 0.35
_DRAWS: Final = 5


def curve(seen: Observed, bundle: Bundle, *, given: Sequence[int] = LABELS_GIVEN, seed: int = 7) -> list[JsonValue]:
    """Points {k, auroc, recall at 1 % and 5 % FPR}, each a mean over draws of labels and of the held-out scenarios."""
    as_it_was = Adapted(LocalScreen(1.0, np.zeros(seen.counts.shape[1]), 0.0), bundle.manifest.heads[MISALIGNMENT])
    points: list[JsonValue] = []
    for k in given:
        found = []
        for draw in range(_DRAWS):
            rng = np.random.default_rng([seed, draw])
            pool, rest = _by_group(seen.groups, rng)
            held = seen.only(rest)
            if held.positive.all() or not held.positive.any() or (k and len(pool) < k):
                continue
            labelled = seen.only(pool[:k])
            few = min(labelled.positive.sum(), (~labelled.positive).sum()) < FEWEST
            scores = (as_it_was if few else adapt(labelled)).probabilities(held)
            found.append(
                [auroc(scores, held.positive), *(recall_at(scores, held.positive, rate) for rate in (0.01, 0.05))]
            )
        if found:
            mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
            names = ("auroc", "recall_at_fpr_0.01", "recall_at_fpr_0.05")
            values = {name: round(float(value), 4) for name, value in zip(names, mean, strict=True)}
            deviations = {f"{name}_sd": round(float(value), 4) for name, value in zip(names, spread, strict=True)}
            points.append({"k": k, "draws": len(found), **values, **deviations})
    return points


def _by_group(groups: Sequence[str], rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(labelled pool in random order, held-out rest), no scenario on both sides."""
    names = sorted(set(groups))
    away = {names[index] for index in rng.permutation(len(names))[: max(1, int(len(names) * _HELD_OUT))]}
    held = np.asarray([group in away for group in groups])
    return rng.permutation(np.flatnonzero(~held)), np.flatnonzero(held)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--per-set", type=int, default=600)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    results: dict[str, JsonValue] = {}
    for name in DEPLOYMENTS:
        path = arguments.data / f"{name}.jsonl.gz"
        if not path.is_file():
            print(f"{name}: not there, left out", file=sys.stderr)
            continue
        drawn = sample(list(read_source(path)), per_source=arguments.per_set, rng=np.random.default_rng(7))
        results[name] = curve(observe(bundle, drawn, max_windows=64, threads=arguments.threads), bundle)
        print(name, results[name], file=sys.stderr, flush=True)
    text = json.dumps({"bundle": bundle.manifest.version, "curves": results}, indent=1)
    arguments.output.write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
