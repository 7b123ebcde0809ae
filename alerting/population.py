"""What is usual: log-odds of recent events."""

from __future__ import annotations

import math
from typing import Final

_BINS: Final = 200
_MOST_ODDS: Final = 6.0


def log_odds(probability: float) -> float:
    """Bounded to what 0.25 % and 99.75 % are."""
    clipped = min(max(probability, 1e-9), 1 - 1e-9)
    return max(-_MOST_ODDS, min(_MOST_ODDS, math.log(clipped / (1 - clipped))))


class Population:
    """Log-odds of recent events, as a histogram that forgets: each event weighs half after `half_life` more."""

    def __init__(self, *, half_life: int = 20_000) -> None:
        self._growth = 2 ** (1 / half_life)
        self._counts = [0.0] * _BINS
        self._next = 1.0
        self.seen = 0

    def add(self, odds: float) -> None:
        self._counts[self._bin(odds)] += self._next
        self._next *= self._growth
        self.seen += 1
        if self._next > 1e12:
            self._counts = [count / self._next for count in self._counts]
            self._next = 1.0

    def quantile(self, share: float) -> float:
        """The upper edge of the bin below which `share` of the events lie."""
        wanted, so_far = share * sum(self._counts), 0.0
        for number, count in enumerate(self._counts):
            so_far += count
            if so_far >= wanted:
                return (number + 1) / _BINS * 2 * _MOST_ODDS - _MOST_ODDS
        return _MOST_ODDS

    def above(self, limit: float) -> float:
        """The share of events in bins that lie above `limit` entirely."""
        total = sum(self._counts)
        first = math.ceil((limit + _MOST_ODDS) / (2 * _MOST_ODDS) * _BINS - 1e-9)
        return sum(self._counts[first:]) / total if total else 0.0

    @staticmethod
    def _bin(odds: float) -> int:
        return min(_BINS - 1, max(0, int((odds + _MOST_ODDS) / (2 * _MOST_ODDS) * _BINS)))
