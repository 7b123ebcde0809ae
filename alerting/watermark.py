"""How far time has got in a topic of several partitions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


class Watermark:
    """No record that was appended before the watermark is still to come.

    Every partition counts: one with a backlog holds time back, and one that nobody has heard of for a while does too.
    """

    def __init__(self) -> None:
        self._reached: dict[int, datetime | None] = {}

    def assign(self, partitions: Iterable[int]) -> None:
        """These are read from now on, and no others."""
        self._reached = {partition: self._reached.get(partition) for partition in partitions}

    def reached(self, partition: int, at: datetime) -> None:
        """All that was appended to the partition before `at` has been read: it ended then, or a record of then came."""
        before = self._reached.get(partition)
        if partition in self._reached and (before is None or at > before):
            self._reached[partition] = at

    def time(self, now: datetime) -> datetime | None:
        """The time of the partition that is furthest behind, `now` at most; None where of some partition, or of all,
        nothing is known yet.
        """
        times = [at for at in self._reached.values() if at is not None]
        if not times or len(times) < len(self._reached):
            return None
        return min(now, *times)
