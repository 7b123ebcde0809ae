"""Makes what is left of a dataset version when conversations are erased. Removing the version is for whoever asks.

    python -m retrain.datasets.forget --dataset DIR --root DIR --labels FILE

`FILE` has ids of labels, one a line. Prints `{"dataset": name, ...}` with the report; the name is the same where the
version holds none of these.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from retrain.datasets.forgetting import without
from retrain.datasets.store import open_dataset, write
from retrain.leaving import leave


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where it was made; 1, with a line on stderr, where it could not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the version")
    parser.add_argument("--root", type=Path, required=True, help="where what is left goes")
    parser.add_argument("--labels", type=Path, required=True, help="ids of labels whose conversations are erased")
    given = parser.parse_args(arguments)
    try:
        dataset = without(open_dataset(given.dataset), given.labels.read_text(encoding="utf-8").split())
        write(given.root, dataset)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps({"dataset": dataset.name, **dataset.report}) + "\n")
    return 0


if __name__ == "__main__":
    leave(main())
