"""What peers' scores are worth: AUROC a peer and set, of the better of the two texts that it was given.

Taking the better text is in the peers' favour; so is that rows on which one failed are left out and counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from retrain.evaluation import measure

_FEWEST = 8


def report(rows: Iterable[dict[str, Any]], results: Iterable[dict[str, Any]], *, seed: int) -> dict[str, Any]:
    """`{peer: {version, failed, sets: {set: {text, auroc, ...}}}}`, and `{peer: {error}}` for one that never opened."""
    rows = list(rows)
    results = list(results)
    wanted = Counter(row["set"] for row in rows)
    attempted = Counter((result["peer"], result["set"], result["text"]) for result in results if "row" in result)
    truth = {(row["set"], row["row"]): bool(row["misaligned"]) for row in rows}
    scored: dict[str, dict[tuple[str, str], list[tuple[bool, float]]]] = {}
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        entry = found.setdefault(result["peer"], {"failed": 0, "sets": {}})
        if "row" not in result:
            entry["error"] = result["error"]
            continue
        entry["version"] = result["version"]
        if "error" in result:
            entry["failed"] += 1
            continue
        place = (result["set"], result["text"])
        outcome = (truth[result["set"], result["row"]], result["score"])
        scored.setdefault(result["peer"], {}).setdefault(place, []).append(outcome)
    for peer, by_place in scored.items():
        for (name, text), outcomes in by_place.items():
            if attempted[peer, name, text] < wanted[name]:  # cut off half way: not the same rows
                continue
            positive = np.asarray([label for label, _ in outcomes])
            if min(positive.sum(), (~positive).sum()) < _FEWEST:
                continue
            measured = measure(np.asarray([score for _, score in outcomes]), positive, seed=seed)
            best = found[peer]["sets"].get(name)
            if best is None or measured["auroc"]["value"] > best["auroc"]["value"]:  # type: ignore[index,call-overload]
                found[peer]["sets"][name] = {"text": text, **measured}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    rows, results = (
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in (arguments.rows, arguments.results)
    )
    found = report(rows, results, seed=7)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
