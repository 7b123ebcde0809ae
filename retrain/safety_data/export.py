"""An export as a folder: files of each format, coverage, card, and a manifest with the digests of them all.

It is made beside its place, read again and searched for what must not be in it, and only then renamed. Its name follows
from its content.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from retrain.safety_data.assembling import Assembled, Options
from retrain.safety_data.card import card
from retrain.safety_data.coverage import as_csv, as_json, missing
from retrain.safety_data.files import as_lines, digest_of, paths_of, read_lines, read_parquet, write_rows, write_text
from retrain.safety_data.held_out import HeldOut
from retrain.safety_data.rows import Origin, Row

MANIFEST: Final = "manifest.json"
README: Final = "README.md"
_SCHEMA: Final = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """An export that is whole, but not in its place yet. `place`: where it will be."""

    unfinished: Path
    place: Path
    labels: tuple[str, ...]
    conversations: tuple[str, ...]

    def finish(self) -> Path:
        """Puts it into its place. The very same export may be there already."""
        if not self.place.exists():
            os.rename(self.unfinished, self.place)
        return self.place


@contextmanager
def drafted(
    root: Path,
    assembled: Assembled,
    options: Options,
    origin: Origin,
    held_out: HeldOut,
    *,
    made_at: str,
    facts: Mapping[str, Any],
) -> Iterator[Draft]:
    """A draft in `root`; nothing is left of one that is not finished. `facts` go into the manifest as they are.

    Raises `HeldOutError` where the finished files hold anything of a held-out detector.
    """
    name = _name(assembled, options)
    unfinished = root / f".{name}.{os.getpid()}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        for each, rows in assembled.files.items():
            write_rows(unfinished, each, rows)
        write_text(unfinished / "coverage.csv", as_csv(assembled.coverage))
        write_text(unfinished / "coverage.json", _pretty(as_json(assembled.coverage)))
        manifest = _manifest(name, assembled, options, origin, made_at=made_at, facts=facts)
        seal(unfinished, manifest)
        scan(unfinished, list(assembled.files), held_out)
        yield Draft(unfinished, root / name, *_named(assembled.files))
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def seal(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Writes card and manifest for the files that are in `folder`."""
    write_text(folder / README, card(manifest))
    files = {path.relative_to(folder).as_posix(): digest_of(path) for path in sorted(_files(folder))}
    write_text(folder / MANIFEST, _pretty({**manifest, "files": files}))


def scan(folder: Path, formats: list[str], held_out: HeldOut) -> None:
    """Reads finished files again. Raises `HeldOutError`."""
    for name in formats:
        columnar, lines = paths_of(name)
        held_out.scan(read_parquet(folder, name), columnar)
        held_out.scan(read_lines(folder, name), lines)
    held_out.scan([json.loads((folder / MANIFEST).read_text(encoding="utf-8"))], MANIFEST)
    for name in (README, "coverage.csv", "coverage.json"):
        held_out.scan([{"text": (folder / name).read_text(encoding="utf-8")}], name)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)


def _name(assembled: Assembled, options: Options) -> str:
    digest = hashlib.sha256(json.dumps([sorted(options.categories), options.penalise_reasoning, options.k]).encode())
    for name, rows in sorted(assembled.files.items()):
        digest.update(name.encode() + hashlib.sha256(as_lines(rows)).digest())
    return f"safety-{digest.hexdigest()[:12]}"


def _named(files: Mapping[str, list[Row]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = [row for each in files.values() for row in each]
    labels = sorted({label for row in rows for label in row["provenance"]["label_ids"]})
    return tuple(labels), tuple(sorted({row["conversation"] for row in rows}))


def _manifest(
    name: str, assembled: Assembled, options: Options, origin: Origin, *, made_at: str, facts: Mapping[str, Any]
) -> dict[str, Any]:
    labels, conversations = _named(assembled.files)
    return {
        "schema": _SCHEMA,
        "name": name,
        "made_at": made_at,
        "plumbline": origin.plumbline,
        "licence": origin.licence,
        "dataset": origin.dataset,
        "options": {
            "formats": list(options.formats),
            "categories": sorted(options.categories),
            "penalise_reasoning": options.penalise_reasoning,
            "k": options.k,
        },
        **facts,
        "labels": len(labels),
        "conversations": len(conversations),
        "rows": {each: len(rows) for each, rows in assembled.files.items()},
        "held_back": assembled.held_back,
        "suppressed": assembled.suppressed,
        "generalised": assembled.levels,
        "missing": missing(assembled.coverage),
        "erased_rows": 0,
    }


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
