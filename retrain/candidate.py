"""From what was fitted to a candidate: a bundle that says whose child it is and what it learnt from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from detectors.bundle import MANIFEST, SCREEN, Bundle, Manifest, write_bundle
from retrain.ancestor import SCREEN_BASE, Ancestor
from retrain.corpus.pairs import corpus_files
from retrain.dataset import by_label
from retrain.datasets import open_for_training
from retrain.refreshing import Refreshed
from retrain.replay import HeldOut
from retrain.sources import JUDGED, LabelledConversation, data_digest
from retrain.staging import staged
from retrain.words import screen_model

_KEPT: Final = (
    "labels", "features", "max_tokens", "overlap", "context_chars", "false_positive_budget",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labels:
    """A dataset version, as far as training may see it. `digest`: of its manifest."""

    name: str
    digest: str
    train: Sequence[LabelledConversation]
    calibration: Sequence[LabelledConversation]

    def described(self) -> dict[str, JsonValue]:
        """For a manifest: which version, and how many of each label."""
        everything = [*self.train, *self.calibration]
        return {
            "name": self.name,
            "digest": self.digest,
            "train": len(self.train),
            "calibration": len(self.calibration),
            "by_label": by_label([item.labels for item in everything]) if everything else {},
        }

    def teachers(self) -> set[str]:
        """The models whose judgements are among the labels."""
        sources = {item.source for item in (*self.train, *self.calibration)}
        return {source.removeprefix(JUDGED) for source in sources if source.startswith(JUDGED)}


def open_labels(folder: Path) -> Labels:
    """The training and calibration parts of a dataset version. Raises `ValueError` where it is not whole."""
    found = open_for_training(folder)
    digest = sha256((folder / MANIFEST).read_bytes())
    return Labels(found.manifest.name, digest, found.train, found.calibration)


def write_candidate(
    out: Path,
    base: Bundle,
    parent: Manifest,
    new: Refreshed,
    labels: Labels,
    *,
    encoder: HeldOut,
    name: str,
    training: Mapping[str, Any],
    metrics: Mapping[str, Any],
    seed: int,
) -> Manifest:
    """Writes `base` with what was fitted to the folder `out`, whole or not at all.

    `base` is the parent, or what has its files and a new encoder.
    """
    ancestor = Ancestor.of(base)
    files = {**base.files, SCREEN: screen_model(ancestor.screen, new.screens), SCREEN_BASE: ancestor.screen}
    known = parent.data.get("teachers")
    teachers = labels.teachers() | ({str(each) for each in known} if isinstance(known, list) else set())
    with staged(out) as folder:
        return write_bundle(
            folder,
            files,
            name=name,
            **{field: getattr(parent, field) for field in _KEPT},
            pass_logit=new.pass_logit,
            heads=new.decision.heads,
            thresholds=new.decision.thresholds,
            data={
                **parent.data,
                "parent": parent.version,
                "dataset": labels.described(),
                "replay": {"digest": data_digest(corpus_files("train"))},
                "teachers": sorted(teachers),
                "held_out_share_misaligned": new.decision.share_misaligned,
            },
            training={**training, "encoder": encoder.recorded(), **ancestor.recorded(frozenset(new.screens))},
            metrics={"held_out": new.decision.measure(new.scored, seed=seed), **metrics},
        )


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()
