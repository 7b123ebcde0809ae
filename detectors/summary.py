"""What is kept of a conversation's window logits: enough for the conversation head, and mergeable.

A summary of a conversation is the merge of the summaries of its parts, in any order and any grouping, so that one can
be kept while a conversation goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

TOP: Final = 3
STATISTICS: Final[tuple[str, ...]] = ("largest", "mean_of_top", "mean")
"""`largest`: the highest window logit; `mean_of_top`: of the `TOP` highest; `mean`: of all of them, which many middling
windows raise and many harmless ones lower."""


@dataclass(frozen=True, slots=True)
class Summaries:
    """Of many conversations by one classifier.

    `top` [conversations, TOP, labels]: the highest logits, in falling order, -inf where there are fewer windows;
    `sum` [conversations, labels]; `count` [conversations]: windows.
    """

    top: NDArray[np.float64]
    sum: NDArray[np.float64]
    count: NDArray[np.int64]

    @classmethod
    def of(cls, logits: NDArray[np.float32], owner: NDArray[np.intp], conversations: int) -> Summaries:
        """From logits [windows, labels]; `owner` [windows] says which conversation each window is of."""
        labels = logits.shape[1]
        top = np.full((conversations, TOP, labels), -np.inf)
        total = np.zeros((conversations, labels))
        count = np.bincount(owner, minlength=conversations).astype(np.int64)
        for conversation in np.unique(owner):
            mine = logits[owner == conversation].astype(np.float64)
            best = np.sort(mine, axis=0)[::-1][:TOP]
            top[conversation, : len(best)] = best
            total[conversation] = mine.sum(axis=0)
        return cls(top, total, count)

    def merge(self, other: Summaries) -> Summaries:
        """Of the same conversations, with the windows of both."""
        both = np.concatenate([self.top, other.top], axis=1)
        return Summaries(
            top=np.sort(both, axis=1)[:, ::-1][:, :TOP],
            sum=self.sum + other.sum,
            count=self.count + other.count,
        )

    @property
    def largest(self) -> NDArray[np.float64]:
        """[conversations, labels], -inf where there is no window."""
        return np.asarray(self.top[:, 0])

    def statistics(self) -> NDArray[np.float64]:
        """[conversations, labels, STATISTICS]; -inf where there is no window, NaN where a logit was NaN."""
        there = np.isfinite(self.top) | np.isnan(self.top)
        summed = np.where(there, self.top, 0.0).sum(axis=1)
        some = self.count[:, None] > 0
        mean_of_top = np.where(some, summed / np.maximum(there.sum(axis=1), 1), -np.inf)
        mean = np.where(some, self.sum / np.maximum(self.count, 1)[:, None], -np.inf)
        return np.stack([self.largest, mean_of_top, mean], axis=2)
