"""Errors of the client libraries, which are made alike, as ours. Bodies of responses are not looked at for texts."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from services.judge.errors import NOTHING, JudgeError, RateLimited, Refused, TimedOut, Unavailable

_NEVER_SENT: Final = frozenset({"ConnectError", "UnsupportedProtocol", "ProxyError"})
_TIMEOUTS: Final = (408, 504)
_SERVER_FAULTS: Final = 500
_OUT_OF_CREDIT: Final = "insufficient_quota"
_FILTERED: Final = "content_filter"


def failure(library: Any, error: Exception) -> JudgeError | None:
    """What became of the request, or None for an error that is not about requests."""
    if isinstance(error, library.APITimeoutError):
        return TimedOut("no answer in time")
    if isinstance(error, library.APIStatusError):
        return _of_status(error)
    if isinstance(error, library.APIConnectionError):
        never_sent = type(error.__cause__).__name__ in _NEVER_SENT
        return Unavailable("no connection to the endpoint", usage=NOTHING if never_sent else None)
    return None


def _of_status(error: Any) -> JudgeError:
    status = int(error.status_code)
    code = getattr(error, "code", None)
    if status == 429 and code != _OUT_OF_CREDIT:
        return RateLimited("too many requests", retry_after=retry_after(error.response.headers.get("retry-after")))
    if status in _TIMEOUTS:
        return TimedOut(f"the endpoint answered {status}")
    if status == 400 and code == _FILTERED:
        return Refused("the provider's filter refused", usage=NOTHING)
    if status in (401, 403):
        return Unavailable(f"the endpoint answered {status}: check PLUMBLINE_JUDGE_API_KEY", usage=NOTHING)
    return Unavailable(f"the endpoint answered {status}", usage=NOTHING if status < _SERVER_FAULTS else None)


def retry_after(header: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds, from a number of them or from a date; None for what is neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (date.astimezone(UTC) - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
