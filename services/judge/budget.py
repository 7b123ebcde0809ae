"""What the judge may spend: money a day and requests a minute. No network and no clock in here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Lock
from typing import Final

from services.judge.errors import OverBudget, RateLimited, Usage

_MILLION: Final = 1_000_000
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Prices:
    """Currency for a million tokens."""

    input: Decimal
    output: Decimal

    def cost(self, usage: Usage) -> Decimal:
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / _MILLION


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """What one request may cost at worst; held back until it is settled."""

    day: date
    cost: Decimal


class Budget:
    """Spent and held back together never pass `daily` on a day (UTC), nor requests `per_minute` in any 60 seconds.

    As long as nothing costs more than was reserved for it: what did is counted in full, and less is left. Safe to
    use from several threads. A clock that goes back does not bring a day back. Lives as long as the process.
    """

    def __init__(self, *, daily: Decimal, prices: Prices, per_minute: int) -> None:
        self._daily = daily
        self._prices = prices
        self._per_minute = per_minute
        self._lock = Lock()
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._used = Decimal(0)
        self._open: set[Reservation] = set()
        self._recent: deque[datetime] = deque()

    @property
    def used(self) -> Decimal:
        """Spent and held back on the day of the latest reservation."""
        with self._lock:
            return self._used

    def reserve(self, worst: Usage, now: datetime) -> Reservation:
        """Holds back what a request takes at worst, and counts it as a request.

        Raises `OverBudget`, or `RateLimited` with the seconds until there is room for a request.
        """
        with self._lock:
            now = self._advance(now.astimezone(UTC))
            cost = self._prices.cost(worst)
            if self._used + cost > self._daily:
                raise OverBudget("a request may cost more than PLUMBLINE_JUDGE_DAILY_BUDGET has left")
            if len(self._recent) >= self._per_minute:
                wait = (self._recent[0] + _MINUTE - now).total_seconds()
                raise RateLimited("PLUMBLINE_JUDGE_REQUESTS_PER_MINUTE is reached", retry_after=wait)
            self._recent.append(now)
            self._used += cost
            reservation = Reservation(now.date(), cost)
            self._open.add(reservation)
            return reservation

    def settle(self, reservation: Reservation, usage: Usage | None) -> Decimal:
        """What the request cost in the end; with None, unknown, what was reserved. Settling again changes nothing.

        It counts for the day on which it was reserved. Returns the cost.
        """
        cost = reservation.cost if usage is None else self._prices.cost(usage)
        with self._lock:
            if reservation not in self._open:
                return Decimal(0)
            self._open.remove(reservation)
            if reservation.day == self._latest.date():
                self._used += cost - reservation.cost
        return cost

    def _advance(self, now: datetime) -> datetime:
        now = max(now, self._latest)
        if now.date() > self._latest.date():
            self._used = Decimal(0)
        self._latest = now
        while self._recent and now - self._recent[0] >= _MINUTE:
            self._recent.popleft()
        return now
