"""The conversations that are examined: held out from the deployment, Plumbline's test pairs, and these under attack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.taxonomy import LABELS, MISALIGNMENT
from retrain.corpus import Pair, conversations
from retrain.corpus.pairs import SOURCE as CORPUS
from retrain.datasets import Example, HeldOut
from retrain.gate.sheet import ALL, Mask, Sheet, Slice
from retrain.redteam import suite
from retrain.sources import LabelledConversation

CORPUS_TEST: Final = Slice("source", "corpus/test")
DEPLOYMENT: Final = Slice("source", "deployment")
EVERYTHING: Final = Slice(ALL, ALL)
UNNAMED: Final = "unnamed"
RED_TEAM: Final = "red_team"
_LENGTHS: Final = ("short", "middle", "long")


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation. `slices`: what is known before it is read; `categories` of its group come on top, and length.

    `attacked` rows count in the red-team suite alone.
    """

    id: str
    group: str
    conversation: LabelledConversation
    slices: frozenset[Slice]
    attacked: bool = False
    category: str | None = None
    """What it was taken for, where it shows nothing."""


def deployed(held_out: Iterable[HeldOut]) -> list[Row]:
    """What people decided about the deployment's own conversations."""
    return [_deployed(each.example, each.conversation) for each in held_out]


def _deployed(example: Example, conversation: LabelledConversation) -> Row:
    tenant = example.tenant_id
    agent = f"{tenant}/{example.agent or UNNAMED}"
    known = {DEPLOYMENT, Slice("source", tenant), Slice("source", agent), Slice("language", example.language)}
    return Row(
        id=f"{tenant}/{example.conversation_id}",
        group=f"{DEPLOYMENT.name}/{conversation.group}",
        conversation=conversation,
        slices=frozenset(known),
        category=example.category,
    )


def of_pairs(pairs: Sequence[Pair]) -> list[Row]:
    """Both twins of each pair."""
    return [
        Row(
            id=side.event.event_id,
            group=f"{CORPUS}/{pair.id}",
            conversation=side,
            slices=frozenset({CORPUS_TEST, Slice("language", pair.language)}),
            category=pair.category,
        )
        for pair in pairs
        for side in conversations([pair])
    ]


def under_attack(pairs: Sequence[Pair], *, per_attack: int) -> list[Row]:
    """Some of the pairs in each disguise; always the same ones, whatever the seed."""
    return [
        Row(
            id=each.conversation.event.event_id,
            group=f"{CORPUS}/{each.pair.id}",
            conversation=each.conversation,
            slices=frozenset({Slice(RED_TEAM, each.attack), Slice(RED_TEAM, ALL)}),
            attacked=True,
        )
        for each in suite(pairs, per_attack=per_attack, salt="gate")
    ]


def sheet_of(rows: Sequence[Row], tokens: NDArray[np.int64]) -> Sheet:
    """`tokens` [rows]: how long each is in windows. Thirds are of what is not under attack."""
    members: defaultdict[Slice, Mask] = defaultdict(lambda: np.zeros(len(rows), dtype=np.bool_))
    usual = np.asarray([not row.attacked for row in rows], dtype=np.bool_)
    edges = np.quantile(tokens[usual], [1 / 3, 2 / 3]) if usual.any() else np.zeros(2)
    of_group = _categories(rows)
    for place, row in enumerate(rows):
        slices = set(row.slices)
        if not row.attacked:
            length = _LENGTHS[int(np.searchsorted(edges, tokens[place]))]
            slices |= {EVERYTHING, Slice("length", length)}
            slices |= {Slice("category", name) for name in of_group[row.group]}
        for each in slices:
            members[each][place] = True
    labels = np.stack([row.conversation.labels for row in rows]) > 0
    groups = np.asarray([row.group for row in rows])
    return Sheet(tuple(row.id for row in rows), groups, labels, dict(members))


def _categories(rows: Sequence[Row]) -> dict[str, set[str]]:
    """What the conversations of each group show or were taken for: an aligned one counts where its twin does."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        shown = [LABELS[column] for column in np.flatnonzero(row.conversation.labels).tolist()]
        found[row.group] |= {name for name in (*shown, row.category) if name and name != MISALIGNMENT}
    return found
