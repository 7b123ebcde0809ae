"""Children of the retrainer that do what the real ones promise, at once:
`python -m tests.retraining_children FOLDER WHAT …`.

In FOLDER, files say how: `pause WHAT` lets it wait in the middle of its work, `fail WHAT` lets it fail, `refuse` lets
the gate refuse. It leaves there the file `half WHAT` when it is in the middle, with its process id, and in `previous`
the names of the versions that others were assembled from, a line each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a child that starts quickly imports what it needs
    from services.retraining.commands import Commands

PARTS = ("train", "calibration", "held_out")
WHAT = ("assemble", "train", "gate", "forget")


def fake_commands(folder: Path) -> Commands:
    """Programs of the stages, steered by files in `folder`."""
    from services.retraining.commands import Commands

    made = {what: (sys.executable, "-m", __name__, str(folder), what) for what in WHAT}
    return Commands(
        assembling=made["assemble"],
        refreshing=made["train"],
        training=(*made["train"], "--full"),
        gating=made["gate"],
        forgetting=made["forget"],
    )


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def half_way(folder: Path, what: str) -> None:
    """The middle of the work: what is being made is half there."""
    say(progress=0.5, said=f"half of {what}")
    (writing := folder / f"writing {what}").write_text(str(os.getpid()))
    writing.rename(folder / f"half {what}")
    while (folder / f"pause {what}").exists():
        time.sleep(0.02)
    if (folder / f"fail {what}").exists():
        sys.exit(1)


def assemble(arguments: argparse.Namespace) -> int:
    """All labels, a third of them in each part."""
    with (arguments.folder / "previous").open("a") as file:
        file.write(f"{arguments.previous and arguments.previous.name}\n")
    if arguments.previous:
        whole(arguments.previous)
    rows = [json.loads(line) for line in arguments.labels.read_text().splitlines()]
    ids = sorted(row["label_id"] for row in rows)
    return written(arguments, "assemble", {part: ids[number::3] for number, part in enumerate(PARTS)})


def forget(arguments: argparse.Namespace) -> int:
    """The same parts, less these labels."""
    gone = set(arguments.labels.read_text().split())
    labels = json.loads((arguments.dataset / "manifest.json").read_text())["labels"]
    return written(
        arguments, "forget", {part: [each for each in of if each not in gone] for part, of in labels.items()}
    )


def written(arguments: argparse.Namespace, what: str, labels: dict[str, list[str]]) -> int:
    """A dataset version is named by the labels that it holds; every file is one line for each of its labels."""
    ids = sorted(label for of in labels.values() for label in of)
    name = f"ds-{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:12]}"
    folder = arguments.root / name
    folder.mkdir(parents=True)
    files = {f"{part}.parquet": "".join(f"{each}\n" for each in of) for part, of in labels.items()}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    for number, (file, text) in enumerate(files.items()):
        if number == 1:
            half_way(arguments.folder, what)
        (folder / file).write_text(text)
    (folder / "manifest.json").write_text(json.dumps({"name": name, "labels": labels, "files": digests}))
    say(dataset=name, examples={part: len(of) for part, of in labels.items()}, held_back={"duplicate": 0})
    return 0


def whole(dataset: Path) -> set[str]:
    """The labels of a version whose files are all there, and as they were written."""
    manifest = json.loads((dataset / "manifest.json").read_text())
    for name, digest in manifest["files"].items():
        told = digest["sha256"] if isinstance(digest, dict) else digest  # as the real ones say it
        assert hashlib.sha256((dataset / name).read_bytes()).hexdigest() == told
    return {label for labels in manifest["labels"].values() for label in labels}


def train(arguments: argparse.Namespace) -> int:
    """The champion, with another note of what it has learnt."""
    if (arguments.dataset / "held_out.parquet").exists():
        return 1
    from detectors.bundle import rewritten

    out: Path = arguments.out
    rewritten(arguments.champion, out, training={"dataset": arguments.dataset.name, "full": arguments.full})
    manifest = out / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text[: len(text) // 2])
    half_way(arguments.folder, "train")
    manifest.write_text(text)
    say(progress=1.0, said="trained")
    return 0


def gate(arguments: argparse.Namespace) -> int:
    """Refuses where it is told to."""
    manifests = [folder / "manifest.json" for folder in (arguments.champion, arguments.candidate)]
    names = [json.loads(manifest.read_text())["version"] for manifest in manifests]
    refused = (arguments.folder / "refuse").exists()
    refusal = {"slice": "category/deception", "metric": "recall", "champion": 0.9, "candidate": 0.4, "margin": 0.05}
    report = {
        "passed": not refused,
        "champion": names[0],
        "candidate": names[1],
        "dataset": arguments.dataset.name,
        "refusals": [{**refusal, "examples": ["acme/conversation-a", "e1"]}] if refused else [],
        "slices": [{"slice": "category/deception", "status": "measured"}, {"slice": "all", "status": "measured"}],
        "rows": len(arguments.canaries.read_text().splitlines()) and len(whole(arguments.dataset)),
    }
    text = json.dumps(report)
    arguments.out.write_text(text[: len(text) // 2])
    half_way(arguments.folder, "gate")
    arguments.out.write_text(text)
    return 3 if refused else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    what = parser.add_subparsers(dest="what", required=True)
    for name, options in {
        "assemble": ("labels", "previous", "root"),
        "train": ("champion", "dataset", "out", "cache"),
        "gate": ("champion", "candidate", "dataset", "canaries", "out"),
        "forget": ("dataset", "labels", "root"),
    }.items():
        command = what.add_parser(name)
        command.add_argument("--policy", type=json.loads)
        command.add_argument("--salt")
        command.add_argument("--threads", type=int)
        command.add_argument("--full", action="store_true")
        for option in options:
            command.add_argument(f"--{option}", type=Path)
    arguments = parser.parse_args()
    say(progress=0.1, said="begun")
    return {"assemble": assemble, "train": train, "gate": gate, "forget": forget}[arguments.what](arguments)


if __name__ == "__main__":
    sys.exit(main())
