"""What is shown again, so that a bundle that learns something new does not forget the old: Plumbline's own pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from detectors.bundle import Manifest
from retrain.corpus import Pair, conversations
from retrain.dataset import split
from retrain.sources import LabelledConversation


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Which part of the pairs a bundle's encoder never saw, and whether it saw labels of a deployment."""

    seed: int = 7
    share: float = 0.25
    saw_labels: bool = False

    @classmethod
    def of(cls, manifest: Manifest) -> HeldOut:
        """As `manifest` records it: by itself where the bundle was refreshed, else in its recipe."""
        kept = manifest.training.get("encoder")
        if isinstance(kept, dict):
            fields: dict[str, Any] = {name: kept[name] for name in ("seed", "share", "saw_labels")}
            return cls(**fields)
        recipe = manifest.training.get("recipe")
        if isinstance(recipe, dict) and {"seed", "held_out"} <= recipe.keys():
            found: dict[str, Any] = {"seed": recipe["seed"], "share": recipe["held_out"]}
            return cls(**found)
        return cls()

    def recorded(self) -> dict[str, JsonValue]:
        return {"seed": self.seed, "share": self.share, "saw_labels": self.saw_labels}


def replayed(pairs: Sequence[Pair], held_out: HeldOut) -> tuple[list[LabelledConversation], list[LabelledConversation]]:
    """(what the encoder may see, what it never saw), drawn as the bundle's own training drew them."""
    return split(conversations(pairs), held_out=held_out.share, seed=held_out.seed)
