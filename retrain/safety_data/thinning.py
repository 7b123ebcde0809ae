"""Taking rows out of an export that is there already: of conversations that were erased."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from retrain.safety_data.anonymity import common
from retrain.safety_data.export import MANIFEST, seal
from retrain.safety_data.files import read_lines, write_rows
from retrain.safety_data.rows import Row


def thin(folder: Path, *, conversations: Collection[str], labels: Collection[str]) -> int:
    """Removes every row of these; how many went. Done again, it goes on where it was. Raises `OSError`, `ValueError`.

    Where the export is k-anonymous, rows go as well that are left with too few like them. Coverage keeps its counts:
    they are of nobody.
    """
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    gone = 0
    rows_left = {}
    for name, count in manifest["rows"].items():
        kept = [row for row in read_lines(folder, name) if not _of(row, conversations, labels)]
        if manifest["options"]["k"] > 1:
            kept = common(kept, manifest["options"]["k"])
        write_rows(folder, name, kept)
        gone += count - len(kept)
        rows_left[name] = len(kept)
    seal(folder, {**manifest, "rows": rows_left, "erased_rows": manifest["erased_rows"] + gone})
    return gone


def _of(row: Row, conversations: Collection[str], labels: Collection[str]) -> bool:
    return row["conversation"] in conversations or not set(labels).isdisjoint(row["provenance"]["label_ids"])
