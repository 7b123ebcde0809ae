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
STATISTICS: Final[tuple[str, ...]] = ("largest", "mean_of_top", "typical")
"""`largest`: the highest window logit; `mean_of_top`: of the `TOP` highest; `typical`: log of the mean odds factor
exp(logit), which many middling windows raise and many harmless ones lower."""


@dataclass(frozen=True, slots=True)
class Summaries:
    """Of many conversations by one classifier.

    `top` [conversations, TOP, labels]: the highest logits, in falling order, -inf where there are fewer windows;
    `log_sum` [conversations, labels]: log of the summed exp(logit); `count` [conversations]: windows.
    """

    top: NDArray[np.float64]
    log_sum: NDArray[np.float64]
    count: NDArray[np.int64]

    @classmethod
    def of(cls, logits: NDArray[np.float32], owner: NDArray[np.intp], conversations: int) -> Summaries:
        """From logits [windows, labels]; `owner` [windows] says which conversation each window is of."""
        labels = logits.shape[1]
        top = np.full((conversations, TOP, labels), -np.inf)
        log_sum = np.full((conversations, labels), -np.inf)
        count = np.bincount(owner, minlength=conversations).astype(np.int64)
        for conversation in np.unique(owner):
            mine = logits[owner == conversation].astype(np.float64)
            best = np.sort(mine, axis=0)[::-1][:TOP]
            top[conversation, : len(best)] = best
            with np.errstate(invalid="ignore"):  # a logit that is not a number stays one
                log_sum[conversation] = np.logaddexp.reduce(mine, axis=0)
        return cls(top, log_sum, count)

    def merge(self, other: Summaries) -> Summaries:
        """Of the same conversations, with the windows of both."""
        both = np.concatenate([self.top, other.top], axis=1)
        return Summaries(
            top=np.sort(both, axis=1)[:, ::-1][:, :TOP],
            log_sum=np.logaddexp(self.log_sum, other.log_sum),
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
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(self.count[:, None] > 0, summed / np.maximum(there.sum(axis=1), 1), -np.inf)
            typical = self.log_sum - np.log(np.maximum(self.count, 1))[:, None]
        return np.stack([self.largest, mean, typical], axis=2)
