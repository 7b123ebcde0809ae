"""Why a judge did not answer. No text here ever quotes a request or an answer.

JudgeError
├── RateLimited  try again, after `retry_after` seconds if the endpoint says so
├── TimedOut     may be tried again
├── Refused      the model or its provider does not judge this
├── Malformed    an answer that is not what was asked for
├── OverBudget   would cost more than may still be spent today
└── Unavailable  no connection, a fault of the server, or it does not take our requests
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors.judge import Reason
from services.errors import ServicesError


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a request took."""

    input_tokens: int
    output_tokens: int


NOTHING = Usage(0, 0)


class JudgeError(ServicesError):
    """Base of all. `usage` is what it took all the same; None where that is unknown, and the worst is assumed."""

    reason: ClassVar[Reason] = Reason.UNAVAILABLE

    def __init__(self, message: str, *, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage


class RateLimited(JudgeError):
    """`retry_after`: seconds, or None where the endpoint does not say."""

    reason = Reason.RATE_LIMITED

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message, usage=NOTHING)
        self.retry_after = retry_after


class TimedOut(JudgeError):
    reason = Reason.TIMEOUT


class Refused(JudgeError):
    reason = Reason.REFUSED


class Malformed(JudgeError):
    reason = Reason.MALFORMED


class OverBudget(JudgeError):
    reason = Reason.OVER_BUDGET


class Unavailable(JudgeError):
    reason = Reason.UNAVAILABLE
