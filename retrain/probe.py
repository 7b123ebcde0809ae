"""The encoder's heads in closed form, over frozen layers: a logistic regression on what the agent's words look like.

Fine-tuning on a few thousand conversations learns their worlds; frozen states keep what the base network knows. Of a
contrastive pair only the difference counts (a conditional logistic regression, as for matched cases and controls):
what its two sides share says nothing about the label, and would else be learnt from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from detectors.classifier import Batcher
from detectors.taxonomy import LABELS
from detectors.windows import Window
from retrain.dataset import CutConversation, about, balanced_weights
from retrain.lexical import FEWEST
from retrain.measurement import PAIRS_SHARE
from retrain.model import Encoder
from retrain.optimisation import bf16_is_fast

Matrix = NDArray[np.float64]

REGULARISATION: Final = 0.1
"""C of the regression. Leaving one source out, .01 and 1 are about as good; pairs are ranked best at .1."""
_MOST_WINDOWS: Final = 8
_NO_LABEL: Final = -6.0


def fit_probe(encoder: Encoder, conversations: Sequence[CutConversation], batcher: Batcher) -> None:
    """Sets the heads of `encoder`: uniform attention, and one regression a label against all other conversations."""
    shown = [_ends(about(item)) for item in conversations]
    owner = np.repeat(np.arange(len(shown)), [len(windows) for windows in shown])
    states = mean_states(encoder, [window for windows in shown for window in windows], batcher)
    sums = np.zeros((len(shown), states.shape[1]))
    np.add.at(sums, owner, states)
    x = sums / np.bincount(owner, minlength=len(shown))[:, None]
    middle, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    apart = _differences(x, conversations, middle)
    truth = np.stack([item.conversation.labels for item in conversations]) > 0
    weights, bias = np.zeros((len(LABELS), x.shape[1])), np.full(len(LABELS), _NO_LABEL)
    for column in range(len(LABELS)):
        positive = truth[:, column]
        if min(positive.sum(), (~positive).sum()) < FEWEST:
            continue
        model = LogisticRegression(C=REGULARISATION, max_iter=500)
        model.fit((apart - middle) / scale, positive, sample_weight=_weights(conversations, positive))
        weights[column], bias[column] = model.coef_[0] / scale, model.intercept_[0]
    encoder.set_heads(weights, -weights @ middle, bias)


def mean_states(encoder: Encoder, windows: Sequence[Window], batcher: Batcher) -> Matrix:
    """[windows, hidden]: hidden states of the agent's tokens, a mean."""
    found = np.zeros((len(windows), encoder.bert.config.hidden_size))
    encoder.eval()
    for rows, batch in batcher.batches(windows):
        of_agent = torch.from_numpy(batch.agent_mask).to(torch.float32).unsqueeze(-1)
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16_is_fast()):
            hidden = encoder.bert(
                input_ids=torch.from_numpy(batch.input_ids), attention_mask=torch.from_numpy(batch.attention_mask)
            ).last_hidden_state
        mean = (hidden.to(torch.float32) * of_agent).sum(dim=1) / of_agent.sum(dim=1).clamp(min=1)
        found[rows] = mean.numpy()
    return found


def _ends(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    """The first and last of many."""
    half = _MOST_WINDOWS // 2
    return windows if len(windows) <= _MOST_WINDOWS else (*windows[:half], *windows[-half:])


def _differences(x: Matrix, conversations: Sequence[CutConversation], middle: Matrix) -> Matrix:
    """`x` with both sides of each contrastive pair moved so that their middle is everybody's."""
    twins: dict[str, list[int]] = {}
    for row, item in enumerate(conversations):
        if item.conversation.contrasted:
            twins.setdefault(item.conversation.group, []).append(row)
    moved = x.copy()
    for rows in twins.values():
        if len(rows) == 2:
            moved[rows] += middle - x[rows].mean(axis=0)
    return moved


def _weights(conversations: Sequence[CutConversation], positive: NDArray[np.bool_]) -> Matrix:
    """[conversations], 1 on average: pairs have their share, other sources the same part of the rest each.

    Within a source both classes weigh the same, where there are both.
    """
    each = np.asarray(balanced_weights([item.conversation for item in conversations]))
    groups = ["" if item.conversation.contrasted else item.conversation.source for item in conversations]
    cells = list(zip(groups, positive.tolist(), strict=True))
    public = set(groups) - {""}
    pairs_share = 0.0 if "" not in groups else PAIRS_SHARE if public else 1.0
    share = {"": pairs_share} | {name: (1 - pairs_share) / len(public) for name in public}
    sides = Counter(name for name, _ in set(cells))
    mass: Counter[tuple[str, bool]] = Counter()
    for cell, weight in zip(cells, each.tolist(), strict=True):
        mass[cell] += weight
    scaled = [
        share[cell[0]] / sides[cell[0]] * weight / mass[cell] for cell, weight in zip(cells, each.tolist(), strict=True)
    ]
    return np.asarray(scaled) * len(conversations)
