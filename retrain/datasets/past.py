"""What the versions before say of the conversations that are labelled now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from retrain.datasets.example import Example, Key, Part, conversation_digest
from retrain.datasets.manifest import Dataset
from retrain.datasets.policy import Reason
from retrain.queued import QueuedLabel


@dataclass(frozen=True, slots=True)
class Past:
    """`rows` and `parts` of the version before, by conversation. `seen`: what any version has trained or calibrated on.

    `waited`: labels that were held back because there was too much of one reviewer or tenant.
    """

    rows: Mapping[Key, Example]
    parts: Mapping[Key, Part]
    seen: frozenset[Key]
    waited: frozenset[str]

    @classmethod
    def of(cls, previous: Dataset | None, labels: Iterable[QueuedLabel]) -> Past:
        if previous is None:
            return cls({}, {}, frozenset(), frozenset())
        held_back, seen = previous.manifest.held_back, set(previous.manifest.seen)
        crowded = (Reason.REVIEWER_DOMINATES, Reason.TENANT_DOMINATES)
        return cls(
            {each.key: each for examples in previous.parts.values() for each in examples},
            {each.key: part for part, examples in previous.parts.items() for each in examples},
            frozenset(key for key in {label.key for label in labels} if conversation_digest(key) in seen),
            frozenset(label for reason in crowded for label in held_back.get(reason, ())),
        )

    @property
    def held_out(self) -> dict[Key, frozenset[str]]:
        """The labels of held-out conversations."""
        return {key: frozenset(self.rows[key].label_ids) for key, part in self.parts.items() if part is Part.HELD_OUT}
