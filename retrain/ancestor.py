"""What refits begin from, again and again: the screen of the last bundle that was trained as a whole.

A screen that was refitted knows the labels and the replayed pairs that it was refitted to. A refit on top of it would
find that it ranks these very conversations nearly without fault, trust it far too much, and be wrong on all others. So
a candidate carries its ancestor's screen beside its own, and the next one begins from that: labels come with every
dataset version, old ones too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue

from detectors.bundle import SCREEN, Bundle

SCREEN_BASE: Final = "screen.base.onnx"
_BASE: Final = "base"


@dataclass(frozen=True, slots=True)
class Ancestor:
    """`pass_logit` goes with `screen`; `refitted`: labels whose screen a descendant has changed."""

    screen: bytes
    pass_logit: float
    refitted: frozenset[str]

    @classmethod
    def of(cls, bundle: Bundle) -> Ancestor:
        """The bundle's own, where it was never refitted."""
        kept: Any = bundle.manifest.training.get(_BASE)
        if SCREEN_BASE not in bundle.files or not isinstance(kept, dict):
            return cls(bundle.files[SCREEN], bundle.manifest.pass_logit, frozenset())
        return cls(bundle.files[SCREEN_BASE], float(kept["pass_logit"]), frozenset(kept["refitted"]))

    def recorded(self, refitted: frozenset[str]) -> dict[str, JsonValue]:
        """For the training of a manifest: what `of` reads back."""
        labels: list[JsonValue] = [*sorted(refitted)]
        return {_BASE: {"pass_logit": self.pass_logit, "refitted": labels}}


def begun_from(bundle: Bundle) -> Bundle:
    """The bundle with its ancestor's screen, and without the heads that went with a refitted one: not to be served."""
    ancestor = Ancestor.of(bundle)
    kept = [label for label in bundle.manifest.heads if label not in ancestor.refitted]
    changes = {
        "pass_logit": ancestor.pass_logit,
        "heads": {label: bundle.manifest.heads[label] for label in kept},
        "thresholds": {label: bundle.manifest.thresholds[label] for label in kept},
    }
    return Bundle(bundle.manifest.model_copy(update=changes), {**bundle.files, SCREEN: ancestor.screen})
