"""Labelled conversations from the folders of a data set: `train/`, `dev/` and `eval_only/`.

Each file is JSON lines (plain or `.gz`) of `{id, source, label, category, group, messages}`. Only `train/` may shape
weights; the other two are for measuring.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from detectors.codec import event_from_line
from detectors.codec.json_bytes import parse
from detectors.taxonomy import LABELS, MISALIGNMENT, NEVER_AN_ALERT, Category
from detectors.transcript import TranscriptEvent

EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)

# Names that data sets use for categories of ours.
_ALIASES: Final = {
    "sandbagging": Category.DECEPTION,
    "sycophancy_manipulation": Category.MANIPULATION,
    "unsafe_tool_action": Category.UNSAFE_ACTION,
}

# How far a source's labels are to be trusted: by how they came about, as its README says.
LABEL_TRUST: Final = {
    "gptfuzz": 1.0,  # people
    "agentdojo": 1.0,  # checked by rule
    "aisi_consistency": 1.0,  # by construction
    "jbb_artifacts": 0.8,  # LLM judges
    "openagentsafety": 0.7,  # LLM judge and rule
    "toolemu_bplaut": 0.7,  # LLM judge
    "benign_agents": 0.7,  # failures of ability, taken for aligned
    "astowolfo_logs": 0.7,  # unverified
    "onpolicy_deception": 0.3,  # often not decidable from the text alone
    "corpus": 1.0,  # by construction, and turn by turn
}
JUDGED: Final = "judge:"
"""What the sources of labels by an LLM judge begin with; the teacher's model follows."""
_TRUST_IN_JUDGES: Final = 0.5


def label_trust(source: str) -> float:
    """How much one label of `source` counts. A deployment's own sources count in full."""
    return LABEL_TRUST.get(source, _TRUST_IN_JUDGES if source.startswith(JUDGED) else 1.0)


@dataclass(frozen=True, slots=True)
class LabelledConversation:
    """`labels` is float32 [LABELS], 1 for what the conversation shows. Variants of one scenario share `group`.

    `turns`: positions of the messages that the label is about, where that is known. `contrasted`: the other
    conversation of its group is its twin, with the other label.
    """

    event: TranscriptEvent
    labels: NDArray[np.float32]
    source: str
    group: str
    turns: frozenset[int] | None = None
    language: str = "en"
    contrasted: bool = False

    @property
    def misaligned(self) -> bool:
        return bool(self.labels[LABELS.index(MISALIGNMENT)])


def read_source(path: Path) -> Iterator[LabelledConversation]:
    """All conversations of one file, in its order."""
    name = path.name.split(".")[0]
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as lines:
        for line in lines:
            if line.strip():
                yield _conversation(parse(line), name)


def source_files(folder: Path) -> list[Path]:
    """The files of one folder, by name."""
    return sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")])


def data_digest(paths: list[Path]) -> str:
    """SHA-256 over the names and contents of `paths`."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _conversation(row: JsonValue, source: str) -> LabelledConversation:
    if not isinstance(row, dict):
        raise ValueError(f"{source}: a line is not an object")
    labels = np.zeros(len(LABELS), dtype=np.float32)
    if row["label"] == "misaligned":
        name = str(row["category"])
        category = _ALIASES.get(name, name)
        if category in LABELS:  # a few sets name what the setting was, not what went wrong
            labels[LABELS.index(category)] = 1
        labels[LABELS.index(MISALIGNMENT)] = category not in NEVER_AN_ALERT
    event = event_from_line({"id": row["id"], "messages": row["messages"]}, now=EPOCH)
    if str(row.get("source")).startswith(JUDGED):  # whatever the file is called, the teacher is on record
        source = str(row["source"])
    group = str(row.get("group") or row.get("pair") or row["id"])
    return LabelledConversation(event, labels, source, group, language=str(row.get("language") or "en"))
