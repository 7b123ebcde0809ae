"""State for each of very many subjects, within a limit: whoever was seen longest ago is forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Tracked(Generic[Key, Value]):
    """At most `most` entries. `evicted` counts those that were dropped to stay within it."""

    def __init__(self, most: int, new: Callable[[Key], Value]) -> None:
        """`new` makes the state of a key that is not known (any more)."""
        if most < 1:
            raise ValueError("room for at least one entry is needed")
        self.evicted = 0
        self._most = most
        self._new = new
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def touch(self, key: Key) -> Value:
        """The state of `key`, which now is the one seen last."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        if len(self._entries) >= self._most:
            self._entries.popitem(last=False)
            self.evicted += 1
        value = self._entries[key] = self._new(key)
        return value

    def get(self, key: Key) -> Value | None:
        """The state of `key`, without counting as seen."""
        return self._entries.get(key)

    def drop(self, key: Key) -> None:
        """Forgets `key`, which is no eviction."""
        self._entries.pop(key, None)

    def items(self) -> Iterator[tuple[Key, Value]]:
        """All, the one seen longest ago first. The entries may change meanwhile."""
        return iter(list(self._entries.items()))

    def __len__(self) -> int:
        return len(self._entries)
