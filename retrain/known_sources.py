"""What the source of a conversation tells by itself: given to a model while it learns, and left out when it serves.

Many public sources hold one label, or nearly. A model that recognises the source wins there, and has learnt nothing
that holds elsewhere. Told what the source lets expect, it gains only by what tells conversations of one source apart:
fixed effects to a statistician, logit adjustment (Menon et al. 2021) with a prior for each group to a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retrain.sources import LabelledConversation

MOST_EXPECTED: Final = 4.0
"""Log-odds beyond which no source is trusted: a label that contradicts its source still teaches."""


def expected_of_sources(conversations: Sequence[LabelledConversation]) -> dict[str, NDArray[np.float32]]:
    """By source, the log-odds [LABELS] that one of its conversations shows each label."""
    labels: dict[str, list[NDArray[np.float32]]] = {}
    for conversation in conversations:
        labels.setdefault(conversation.source, []).append(conversation.labels)
    found = {}
    for source, rows in labels.items():
        share = (np.sum(rows, axis=0) + 0.5) / (len(rows) + 1)
        found[source] = np.clip(np.log(share / (1 - share)), -MOST_EXPECTED, MOST_EXPECTED).astype(np.float32)
    return found
