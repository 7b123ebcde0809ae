"""The screen's weights, in closed form: a logistic regression on what conversations say on average.

Windows are too short to weigh words by, and their labels are guesses; whole conversations are neither. The screen is
linear, so the mean of a conversation's window logits is exactly the regression's margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from detectors.features import FEATURE_NAMES, StructuralFeatures
from detectors.taxonomy import LABELS
from retrain.dataset import CutConversation, about, balanced_weights
from retrain.hashing import hashed_counts, rarity
from retrain.intercepts import with_sources
from retrain.model import Screen

FEWEST: Final = 10
"""Positives without which a label gets no weights."""


def mean_counts(conversations: Sequence[CutConversation], buckets: int) -> sparse.csr_matrix:
    """[conversations, buckets]: hashed n-grams, a mean over the windows that the label is about."""
    rows = [sparse.csr_matrix(hashed_counts(about(item), buckets).mean(axis=0)) for item in conversations]
    return sparse.csr_matrix(sparse.vstack(rows))


def fit_screen(
    screen: Screen,
    conversations: Sequence[CutConversation],
    features: StructuralFeatures,
    *,
    sources_known: bool = False,
) -> None:
    """Sets the weights of `screen`: one regression a label, against all other conversations.

    `sources_known`: the regression has an intercept for each source, which the screen goes without.
    """
    counts = mean_counts(conversations, screen.buckets)
    scale = rarity(counts)
    structure = np.stack([features(about(item)).mean(axis=0) for item in conversations])
    x = sparse.csr_matrix(sparse.hstack([counts @ sparse.diags(scale), sparse.csr_matrix(structure)]))
    read = x.shape[1]
    if sources_known:
        x = with_sources(x, [item.conversation.source for item in conversations])
    truth = np.stack([item.conversation.labels for item in conversations]) > 0
    weights = np.asarray(balanced_weights([item.conversation for item in conversations]))
    table = np.zeros((screen.buckets, len(LABELS)))
    structural, bias = np.zeros((len(LABELS), len(FEATURE_NAMES))), np.full(len(LABELS), -6.0)
    for column in range(len(LABELS)):
        positive = truth[:, column]
        if min(positive.sum(), (~positive).sum()) < FEWEST:
            continue
        model = LogisticRegression(C=1.0, class_weight="balanced", solver="liblinear", random_state=0)
        model.fit(x, positive, sample_weight=weights)
        table[:, column] = model.coef_[0, : screen.buckets] * scale
        structural[column] = model.coef_[0, screen.buckets : read]
        bias[column] = model.intercept_[0]
    screen.set_weights(table, structural, bias)
