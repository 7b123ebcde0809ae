"""Whether a conversation's events arrive in order and whole."""

from __future__ import annotations

from collections import OrderedDict

from detectors.transcript import TranscriptEvent


class SequenceWatch:
    """Remembers the latest `seq` of recent conversations; events without one are not watched.

    Memory of this process alone: after a restart or a rebalance a conversation's first event is taken as it comes.
    """

    def __init__(self, conversations: int = 100_000) -> None:
        self._limit = conversations
        self._latest: OrderedDict[tuple[str, str], tuple[int, str]] = OrderedDict()

    def caveat(self, event: TranscriptEvent) -> str | None:
        """What is wrong with the place of `event` in its conversation; None where nothing is."""
        if event.seq is None:
            return None
        conversation = (event.tenant_id, event.conversation_id)
        latest = self._latest.pop(conversation, None)
        this = (event.seq, event.event_id)
        self._latest[conversation] = this if latest is None or event.seq >= latest[0] else latest
        if len(self._latest) > self._limit:
            self._latest.popitem(last=False)
        return None if latest is None else _caveat(this, latest)


def _caveat(this: tuple[int, str], latest: tuple[int, str]) -> str | None:
    seq, event_id = this
    before, event_before = latest
    if event_id == event_before or seq == before + 1:
        return None
    if seq > before:
        return f"seq {seq} follows seq {before}: {seq - before - 1} event(s) missing"
    return f"out of order: seq {seq} came after seq {before}"
