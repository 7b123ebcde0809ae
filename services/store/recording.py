"""What the recorder writes and the command line reads: verdicts, dead letters and the cases that come of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Engine

from detectors.verdict import DECIDING, Arm, Verdict
from services.dead_letters import DeadLetter
from services.store import cases, conversations, search, verdicts
from services.store.conversations import RedactedEvent
from services.store.database import Database, Transaction
from services.store.verdicts import Coverage, VerdictFilter
from services.triage.case import Case
from services.triage.intake import Intake
from services.triage.queue import CaseFilter, Order


class Store:
    """Reads and writes verdicts, dead letters and cases. The schema must be there: see `services.migrations`."""

    def __init__(self, engine: Engine, intake: Intake | None = None) -> None:
        self.database = Database(engine)
        self._intake = intake or Intake()

    def record(
        self,
        given: Sequence[Verdict],
        letters: Sequence[DeadLetter],
        transcripts: Sequence[RedactedEvent] = (),
        *,
        now: datetime,
    ) -> int:
        """Writes all or nothing; returns how many of the verdicts are new. Verdicts that are there stay as they are.

        Raises `TransientError` where the database is away.
        """
        with self.database.write() as tx:
            for event in transcripts:
                conversations.keep(tx, event, now)
            new = verdicts.add(tx, given, now)
            verdicts.add_letters(tx, letters, now)
            for verdict in new:
                self._intake.take(tx, verdict, now)
            _make_findable(tx, [*_places(transcripts), *_places(new)])
        return len(new)

    def cases(self, *, limit: int, open_only: bool = False, now: datetime) -> list[Case]:
        """The gravest first, and of one severity the oldest first."""
        wanted = CaseFilter(tenants=None, waiting=True if open_only else None, snoozed=True)
        with self.database.read() as tx:
            return cases.page(tx, wanted, Order.GRAVEST, None, limit=limit, now=now)

    def open_cases(self) -> dict[str, tuple[int, datetime]]:
        """Severity → cases that nobody has looked at, and when the oldest of them was opened."""
        with self.database.read() as tx:
            return cases.unseen(tx)

    def waits(self, since: datetime) -> list[tuple[datetime, float]]:
        """(when, after how many seconds) cases were acknowledged after `since`."""
        with self.database.read() as tx:
            return cases.waits(tx, since)

    def coverage(self) -> Coverage:
        """Counts over everything recorded but probes."""
        with self.database.read() as tx:
            return verdicts.coverage(tx)

    def verdicts(
        self,
        *,
        limit: int,
        flagged_only: bool = False,
        conversation_id: str | None = None,
        arms: Collection[Arm] | None = DECIDING,
    ) -> list[Verdict]:
        """The latest verdicts, newest first: those that decide, or those of `arms` (None: all)."""
        wanted = VerdictFilter(flagged_only=flagged_only, conversation_id=conversation_id, arms=arms)
        with self.database.read() as tx:
            return verdicts.page(tx, wanted, limit=limit)


_MOST_FINDABLE: Final = 20_000
"""Characters of a conversation that search looks in."""


def _places(items: Iterable[Verdict | RedactedEvent]) -> list[tuple[str, str]]:
    return [(item.tenant_id, item.conversation_id) for item in items]


def _make_findable(tx: Transaction, places: Iterable[tuple[str, str]]) -> None:
    """Search finds what was said in conversations that belong to a case, whichever came first: words or case."""
    for place in dict.fromkeys(places):
        if cases.member(tx, *place) is not None:
            found = conversations.messages(tx, *place, limit=400)
            if found:
                search.keep(tx, *place, conversations.said(found, most=_MOST_FINDABLE))
