"""`python -m retrain.corpus.report`: what the corpus covers, whether it is balanced, and what the next pair buys.

Exit code 1 where the lint finds something.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from detectors.taxonomy import NEVER_AN_ALERT
from retrain.baseline import LinearBaseline
from retrain.corpus.lint import coverage, lint
from retrain.corpus.pairs import PARTS, Pair, conversations, read_pairs
from retrain.evaluation import auroc

SIZES = (25, 50, 100, 200, 400, 800)


def scaling_curve(
    train: Sequence[Pair], test: Sequence[Pair], sizes: Sequence[int] = SIZES, *, draws: int = 5, seed: int = 7
) -> list[JsonValue]:
    """AUROC of the linear model on the test writers' sides against the number of training pairs, over some draws.

    The linear model, since it takes seconds: it shows whether words alone go on gaining. The encoder's curve needs a
    training run for each point.
    """
    rng = np.random.default_rng(seed)
    held = [item for item in conversations(test) if item.contrasted]
    truth = np.asarray([bool(item.labels.any()) for item in held])
    points: list[JsonValue] = []
    for size in [*(size for size in sizes if size < len(train)), len(train)]:
        values = []
        for _ in range(draws if size < len(train) else 1):
            drawn = [train[index] for index in rng.permutation(len(train))[:size]]
            usable = [pair for pair in drawn if pair.category not in NEVER_AN_ALERT]
            values.append(auroc(LinearBaseline(list(conversations(usable)))(held), truth))
        low, high = float(np.min(values)), float(np.max(values))
        points.append(
            {"name": "linear", "pairs": size, "y": round(float(np.mean(values)), 4), "low": low, "high": high}
        )
    return points


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="file for the scaling curve, .png or .svg")
    arguments = parser.parse_args()
    train, test = (read_pairs(part) for part in PARTS)
    for part, pairs in zip(PARTS, (train, test), strict=True):
        print(f"{part}: {len(pairs)} pairs")
        for field, counts in coverage(pairs).items():
            print(
                f"  {len(counts)} of {field}: {', '.join(f'{name} {count}' for name, count in counts.most_common(40))}"
            )
    findings = lint(train, test)
    print(*findings, sep="\n")
    points = scaling_curve(train, test)
    for point in points:
        print(point)
    if arguments.plot is not None:
        from retrain.plots import plot_curve

        plot_curve(points, arguments.plot, x="pairs", title="AUROC on the test writers' pairs")  # type: ignore[arg-type]
    return 0 if all(finding.fine for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
