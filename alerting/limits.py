"""What may count, and how often: once for a conversation, so many names, so many alerts an hour."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from alerting.tracking import Tracked

Name = TypeVar("Name", bound=Hashable)
_HOUR: Final = timedelta(hours=1)


class Spaced:
    """Lets each key through once in `every`, so that what is like itself counts once: the events of a conversation."""

    def __init__(self, most: int, every: timedelta) -> None:
        self._every = every.total_seconds()
        self._most = most
        self._latest: OrderedDict[int, float] = OrderedDict()

    def admits(self, key: Hashable, at: datetime) -> bool:
        """Whether `key` was not let through within `every` of `at`, before or after."""
        moment, hashed = at.timestamp(), hash(key)
        latest = self._latest.get(hashed)
        if latest is None and len(self._latest) >= self._most:
            self._latest.popitem(last=False)
        admitted = latest is None or abs(moment - latest) >= self._every
        if admitted:
            self._latest[hashed] = moment if latest is None else max(moment, latest)
        self._latest.move_to_end(hashed)
        return admitted

    def __len__(self) -> int:
        return len(self._latest)


class Seats(Generic[Name]):
    """Room for `most` names. A name keeps its seat until it has not been seen for `idle`; without one it must wait.

    So whoever makes up names takes the free seats at most, and gives them back.
    """

    def __init__(self, most: int, idle: timedelta) -> None:
        if most < 1:
            raise ValueError("room for at least one name is needed")
        self._most = most
        self._idle = idle
        self._seen: OrderedDict[Name, datetime] = OrderedDict()

    def seated(self, name: Name, at: datetime) -> bool:
        """Whether `name` has a seat, or gets one now."""
        if name not in self._seen and len(self._seen) >= self._most:
            oldest, seen = next(iter(self._seen.items()))
            if at - seen < self._idle:
                return False
            del self._seen[oldest]
        self._seen[name] = max(at, self._seen.get(name, at))
        self._seen.move_to_end(name)
        return True

    def __len__(self) -> int:
        return len(self._seen)


class HourlyLimit:
    """At most so many in any hour of each tenant."""

    def __init__(self, per_hour: int, *, most: int) -> None:
        self._per_hour = per_hour
        self._admitted: Tracked[str, list[datetime]] = Tracked(most, lambda _: [])

    def admits(self, tenant: str, at: datetime) -> bool:
        """Whether one more within an hour of `at`, which counts from now on, is within the limit."""
        admitted = self._admitted.touch(tenant)
        if sum(abs(at - each) < _HOUR for each in admitted) >= self._per_hour:
            return False
        admitted[:] = [*(each for each in admitted if at - each < _HOUR), at][-2 * self._per_hour :]
        return True
