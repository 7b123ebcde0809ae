"""What is read from the database of one conversation, as little of it as is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from detectors.verdict import Verdict
from services.privacy.stored import StoredMessage
from services.store import conversations, verdicts
from services.store.conversations import Conversation
from services.store.database import Transaction
from services.store.verdicts import VerdictFilter
from services.web.pages.clipping import FIRST_MESSAGES, windows
from services.web.pages.marks import Mark, by_importance, shown
from services.web.pages.reading import Gap, MessageView, Quote, Reading, Side, message_view, quotes

_MOST_VERDICTS: Final = 200
_MOST_QUOTES: Final = 6
Items = tuple[MessageView | Gap, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """One conversation of one tenant."""

    tenant_id: str
    conversation_id: str

    def messages(self, tx: Transaction, first: int, limit: int) -> list[StoredMessage]:
        return conversations.messages(tx, self.tenant_id, self.conversation_id, first=first, limit=limit)


def judged(tx: Transaction, place: Place) -> list[Verdict]:
    """The latest verdicts of the conversation, newest first."""
    wanted = VerdictFilter(tenant_id=place.tenant_id, conversation_id=place.conversation_id)
    return shown(verdicts.page(tx, wanted, limit=_MOST_VERDICTS))


def first_look(tx: Transaction, place: Place, facts: Conversation, marks: Sequence[Mark], at: int | None) -> Reading:
    """What is shown when the page opens: the surroundings of message `at` and of the evidence, or the beginning."""
    important = by_importance(marks)
    wanted = [*([] if at is None else [at]), *(mark.message_index for mark in important)]
    last = max([facts.messages - 1, *wanted])
    found: list[StoredMessage] = []
    items: list[MessageView | Gap] = []
    done = 0
    for window in windows(last, wanted):
        if window.start > done:
            items.append(Gap(done, window.start))
        there = place.messages(tx, window.start, window.end - window.start + 1)
        inside = [message for message in there if message.position < window.end]
        items += [message_view(message, marks) for message in inside]
        found += inside
        done = window.end
        more = len(there) > len(inside)
    if more:
        items.append(Gap(done, None))
    return Reading(tuple(items), _quoted(found, important))


def _quoted(found: Sequence[StoredMessage], important: Sequence[Mark]) -> tuple[Quote, ...]:
    heaviest = list(quotes(found, important))[:_MOST_QUOTES]
    return tuple(sorted(heaviest, key=lambda quote: quote.mark.number))


def opened(tx: Transaction, place: Place, marks: Sequence[Mark], gap: Gap, side: Side) -> Items:
    """The next messages of a gap, and what remains of it."""
    if side is Side.END and gap.until is not None:
        first = max(gap.first, gap.until - FIRST_MESSAGES)
        there = [message for message in place.messages(tx, first, FIRST_MESSAGES) if message.position < gap.until]
        before = (Gap(gap.first, first),) if first > gap.first else ()
        return (*before, *(message_view(message, marks) for message in there))
    there = place.messages(tx, gap.first, FIRST_MESSAGES + 1)
    there = [message for message in there if gap.until is None or message.position < gap.until]
    after = (Gap(there[FIRST_MESSAGES].position, gap.until),) if len(there) > FIRST_MESSAGES else ()
    return (*(message_view(message, marks) for message in there[:FIRST_MESSAGES]), *after)


def whole_message(tx: Transaction, place: Place, marks: Sequence[Mark], position: int) -> MessageView | None:
    """One message with nothing left out."""
    there = place.messages(tx, position, 1)
    found = there[0] if there and there[0].position == position else None
    return None if found is None else message_view(found, marks, whole=True)
