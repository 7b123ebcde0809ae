"""When to try again what failed."""

from __future__ import annotations

from collections.abc import Collection


class Patience:
    """Each thing that fails is left alone for `first` seconds, and twice as long each time, up to `longest`."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = min(first, longest)
        self._longest = longest
        self._waiting: dict[str, tuple[float, float]] = {}

    def is_due(self, what: str, at: float) -> bool:
        """`at`: seconds since whenever, always by the same clock."""
        return at >= self._waiting.get(what, (at, 0.0))[0]

    def failed(self, what: str, at: float) -> None:
        _, before = self._waiting.get(what, (at, 0.0))
        pause = min(2 * before, self._longest) if before else self._first
        self._waiting[what] = (at + pause, pause)

    def remember_only(self, things: Collection[str]) -> None:
        """What does not count any more may be tried at once when it comes back."""
        self._waiting = {what: state for what, state in self._waiting.items() if what in things}
