"""An intercept for each source in a linear model: see `retrain.known_sources`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse


def with_sources(x: Any, sources: Sequence[str]) -> sparse.csr_matrix:
    """`x` [conversations, columns] and a column for each source, for a linear model's own intercept of that source.

    It is as large as a row of `x` is long, so that a penalty on weights holds it back no more than the rest.
    """
    rows = sparse.csr_matrix(x)
    length = float(np.sqrt(rows.multiply(rows).sum() / max(1, rows.shape[0]))) or 1.0
    names = np.asarray(sources)
    return sparse.csr_matrix(sparse.hstack([rows, (names[:, None] == np.unique(names)) * length]))
