"""One question to an endpoint: within the budget, tried again where that may help, until the deadline."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from detectors.judge import Request
from services.judge.budget import Budget, Reservation
from services.judge.client import JudgeEndpoint, worst_case_input_tokens
from services.judge.errors import JudgeError, RateLimited, TimedOut, Usage
from services.judge.wire import Answer

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0


@dataclass(slots=True)
class Bill:
    """What the questions about one event took so far, those that failed included."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = field(default_factory=Decimal)

    def add(self, usage: Usage | None, cost: Decimal) -> None:
        if usage:
            self.input_tokens += usage.input_tokens
            self.output_tokens += usage.output_tokens
        self.cost += cost


@dataclass(frozen=True, slots=True)
class Asking:
    """How an endpoint is asked. `timeout` and what is slept are seconds."""

    endpoint: JudgeEndpoint
    budget: Budget
    timeout: float
    retries: int
    max_output_tokens: int
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    rng: random.Random

    def ask(self, request: Request, *, seed: int, deadline: datetime, bill: Bill) -> Answer:
        """Raises `JudgeError`: the last one, where trying again did not help or would take past `deadline`."""
        worst = Usage(
            worst_case_input_tokens(request.system, request.user, request.schema),
            self.max_output_tokens,
        )
        for attempt in range(self.retries + 1):
            reservation = self._reserved(worst, deadline)
            try:
                return self._once(request, reservation, seed, deadline, bill)
            except (RateLimited, TimedOut) as error:
                if attempt == self.retries:
                    raise
                self._wait(self._backoff(error, attempt), deadline, error)
        raise AssertionError("unreachable")

    def _once(self, request: Request, reservation: Reservation, seed: int, deadline: datetime, bill: Bill) -> Answer:
        usage = None  # the worst is assumed of everything that does not say otherwise
        try:
            left = (deadline - self.clock()).total_seconds()
            answer = self.endpoint.ask(
                request.system, request.user, request.schema, seed, timeout=max(0.001, min(self.timeout, left))
            )
            usage = answer.usage
            return answer
        except JudgeError as error:
            usage = error.usage
            raise
        finally:
            bill.add(usage, self.budget.settle(reservation, usage))

    def _reserved(self, worst: Usage, deadline: datetime) -> Reservation:
        while True:
            now = self.clock()
            if now >= deadline:
                raise TimedOut("the deadline is over")
            try:
                return self.budget.reserve(worst, now)
            except RateLimited as error:
                self._wait(error.retry_after or _FIRST_WAIT, deadline, error)

    def _backoff(self, error: JudgeError, attempt: int) -> float:
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0**attempt) * (0.5 + self.rng.random() / 2)
        asked = error.retry_after if isinstance(error, RateLimited) else None
        return wait if asked is None else max(wait, asked)

    def _wait(self, seconds: float, deadline: datetime, error: JudgeError) -> None:
        # Compared as seconds: an endpoint may ask for a wait that no date can hold.
        if seconds >= (deadline - self.clock()) / timedelta(seconds=1):
            raise error
        self.sleep(seconds)
