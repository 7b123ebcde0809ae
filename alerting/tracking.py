"""State for each of very many subjects, within a limit: whoever was seen longest ago is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_LOOKED_AT: Final = 64
"""Entries, from the one seen longest ago on, among which one that need not be spared is looked for."""


class Tracked(Generic[Key, Value]):
    """At most `most` entries. `evicted` counts those that were dropped to stay within it."""

    def __init__(
        self, most: int, new: Callable[[Key], Value], *, spared: Callable[[Value], bool] = lambda _: False
    ) -> None:
        """`new` makes the state of a key that is not known (any more). What is `spared` gives way last: subjects that
        something was found about must not be driven out by a flood of new ones.
        """
        if most < 1:
            raise ValueError("room for at least one entry is needed")
        self.evicted = 0
        self._most = most
        self._new = new
        self._spared = spared
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def touch(self, key: Key) -> Value:
        """The state of `key`, which now is the one seen last."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        if len(self._entries) >= self._most:
            del self._entries[self._dispensable()]
            self.evicted += 1
        value = self._entries[key] = self._new(key)
        return value

    def _dispensable(self) -> Key:
        oldest = islice(self._entries.items(), _LOOKED_AT)
        return next((key for key, value in oldest if not self._spared(value)), next(iter(self._entries)))

    def get(self, key: Key) -> Value | None:
        """The state of `key`, without counting as seen."""
        return self._entries.get(key)

    def drop(self, key: Key) -> None:
        """Forgets `key`, which is no eviction."""
        self._entries.pop(key, None)

    def items(self) -> Iterator[tuple[Key, Value]]:
        """All, the one seen longest ago first. The entries may change meanwhile."""
        return iter(list(self._entries.items()))

    def values(self) -> Iterator[Value]:
        """As `items`, without the keys."""
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)
