"""Makes the next dataset version from all labels that stand.

    python -m retrain.datasets.assemble --labels FILE.jsonl --root DIR [--previous DIR] [--policy JSON] [--salt TEXT]

`FILE.jsonl` has records of the retraining queue, one a line, in any order: labels, and what takes them back. Prints
JSON lines of `{"progress", "said"}`, and at last `{"dataset": name, ...}` with the report.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from detectors.codec import json_bytes
from detectors.errors import RecordError
from retrain.datasets.assembly import assemble
from retrain.datasets.errors import DatasetError
from retrain.datasets.policy import Policy
from retrain.datasets.store import open_dataset, write
from retrain.leaving import leave
from retrain.progress import JsonLines
from retrain.queued import Erased, QueuedLabel, Record, Withdrawn, parse


def read_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Records of the queue, one a line. Raises `ValueError` that names the line, and quotes nothing of it."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield parse(json_bytes.parse(line))
            except RecordError as error:
                raise ValueError(f"line {number}: {error.reason}") from None
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def standing(records: Iterable[Record]) -> list[QueuedLabel]:
    """The labels that nothing takes back, whatever came first."""
    labels: list[QueuedLabel] = []
    withdrawn = set()
    erased = set()
    for record in records:
        match record:
            case QueuedLabel():
                labels.append(record)
            case Withdrawn():
                withdrawn.add(record.label_id)
            case Erased():
                withdrawn.update(record.label_ids)
                erased.add(record.key)
    return [each for each in labels if each.label_id not in withdrawn and each.key not in erased]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where a version was made or nothing had changed; 1, with a line on stderr, where it could not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True, help="records of the queue, JSON lines")
    parser.add_argument("--root", type=Path, required=True, help="folder of all dataset versions")
    parser.add_argument("--previous", type=Path, help="folder of the version before")
    parser.add_argument("--policy", default="{}", help="JSON: what differs from the usual policy")
    parser.add_argument("--salt", default="", help="draws parts, and keys the digests of phrases")
    given = parser.parse_args(arguments)
    say = JsonLines(sys.stdout)
    try:
        policy = Policy.model_validate_json(given.policy)
        with given.labels.open("rb") as lines:
            labels = standing(read_records(lines))
        previous = open_dataset(given.previous) if given.previous else None
        dataset = assemble(labels, previous, policy, salt=given.salt, say=say)
        write(given.root, dataset)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        sys.stderr.write(f"policy: {'.'.join(map(str, first['loc']))}: {first['msg']}\n")
        return 1
    except (DatasetError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    say(1.0, f"{dataset.name} is written")
    sys.stdout.write(json.dumps({"dataset": dataset.name, **dataset.report}) + "\n")
    return 0


if __name__ == "__main__":
    leave(main())
