"""A relay that can be stopped, or made to fail, at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.outbox.broker import Broker, Sink
from services.outbox.ledger import Ledger, Offsets
from services.records import Outgoing
from services.store.outbox import Message, Outcome

STEPS = (
    *("taken", "opening", "opened", "reading", "read", "beginning", "begun"),
    *("sending", "sent", "finishing", "finished"),
)
Hook = Callable[[str], None]


class HookedLedger(Ledger):
    def __init__(self, *details: Any, at: Hook, **more: Any) -> None:
        super().__init__(*details, **more)
        self._at = at

    def due(self, now: datetime) -> list[Message]:
        found = super().due(now)
        if found:
            self._at("taken")
        return found

    def begin(self, attempts: Sequence[tuple[Sequence[int], Offsets | None]], now: datetime) -> set[int]:
        self._at("beginning")
        begun = super().begin(attempts, now)
        self._at("begun")
        return begun

    def finish(self, numbers: Sequence[int], outcome: Outcome, now: datetime, *also: Any) -> None:
        self._at("finishing")
        super().finish(numbers, outcome, now, *also)
        self._at("finished")


class HookedBroker:
    def __init__(self, broker: Broker, at: Hook) -> None:
        self._broker = broker
        self._at = at

    def open(self) -> Sink:
        self._at("opening")
        sink = self._broker.open()
        self._at("opened")
        return _HookedSink(sink, self._at)

    def ends(self, topic: str) -> Offsets:
        return self._broker.ends(topic)

    def arrived(self, topic: str, since: Offsets) -> set[UUID]:
        self._at("reading")
        found = self._broker.arrived(topic, since)
        self._at("read")
        return found


class _HookedSink:
    def __init__(self, sink: Sink, at: Hook) -> None:
        self._sink = sink
        self._at = at

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        self._at("sending")
        self._sink.deliver(outgoing)
        self._at("sent")

    def close(self) -> None:
        self._sink.close()
