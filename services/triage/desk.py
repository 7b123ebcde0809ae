"""One use case is one transaction; a request that comes again with its idempotency key is answered as before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from services.errors import TransientError
from services.store import idempotency
from services.store.database import Database, Transaction
from services.triage.errors import KeyReusedError

_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.05
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Once:
    """An idempotency key of somebody's, and a digest of the request that it stands for."""

    account: str
    key: str
    request: str


class Desk:
    """Runs actions (`services.triage.actions`) against the database."""

    def __init__(self, database: Database, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._database = database
        self._sleep = sleep

    def read(self, look: Callable[[Transaction], Result]) -> Result:
        """Raises `TransientError` where the database is away."""
        with self._database.read() as tx:
            return look(tx)

    def run(
        self, action: Callable[[Transaction], dict[str, Any]], now: datetime, once: Once | None = None
    ) -> dict[str, Any]:
        """The action's answer, all of its changes made or none. Raises what it raises, `KeyReusedError` and
        `TransientError`. What databases refuse for now (a deadlock, a connection that broke) is tried again: nothing
        of it was kept.
        """
        for attempt in range(_TRIES):
            try:
                return self._once(action, now, once)
            except TransientError:
                if attempt + 1 == _TRIES:
                    raise
                self._sleep(_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    def _once(
        self, action: Callable[[Transaction], dict[str, Any]], now: datetime, once: Once | None
    ) -> dict[str, Any]:
        with self._database.write() as tx:
            if once is not None:
                known = idempotency.claim(tx, once.account, once.key, once.request, now)
                if known is not None:
                    if not known.same or known.answer is None:
                        raise KeyReusedError("this idempotency key came with another request before")
                    return known.answer
            given = action(tx)
            if once is not None:
                idempotency.answer(tx, once.account, once.key, given)
            return given
