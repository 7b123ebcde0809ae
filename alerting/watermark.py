"""How far time has got in a topic of several partitions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


class Watermark:
    """No record before the watermark is still to come, as far as append times go.

    A partition that has been read to its end does not hold time back, one with a backlog does.
    """

    def __init__(self) -> None:
        self._latest: dict[int, datetime | None] = {}
        self._ended: dict[int, bool] = {}

    def assign(self, partitions: Iterable[int]) -> None:
        """These are read from now on, and no others. None has been read to its end yet."""
        kept = {partition: self._latest.get(partition) for partition in partitions}
        self._latest, self._ended = kept, dict.fromkeys(kept, False)

    def read(self, partition: int, appended_at: datetime, *, last: bool) -> None:
        """A record has been read, `last`: as far as is known there is none behind it."""
        latest = self._latest.get(partition)
        self._latest[partition] = appended_at if latest is None else max(latest, appended_at)
        self._ended[partition] = last

    def ended(self, partition: int) -> None:
        """The partition has been read to its end, or is empty."""
        self._ended[partition] = True

    def time(self, now: datetime) -> datetime | None:
        """`now` where everything has been read, else the time of the partition that is furthest behind.

        None while some partition with a backlog has not given a single record.
        """
        behind = [self._latest.get(partition) for partition, ended in self._ended.items() if not ended]
        if None in behind:
            return None
        return min([now, *(latest for latest in behind if latest is not None)])
