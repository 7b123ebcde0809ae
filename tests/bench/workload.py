"""What is scored: the transcripts that ship, as many times as it takes, each time as new conversations.

Nothing on the way caches text, so that a transcript seen before costs as much as a new one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from detectors.codec import encode_event
from detectors.transcript import TranscriptEvent
from services.demo.shipped import shipped_transcripts
from services.kafka import KafkaSink
from services.records import Outgoing
from services.settings import Settings

_SENT_AT_ONCE: Final = 100


def events(count: int, *, seed: int) -> list[TranscriptEvent]:
    """`count` events: every shipped transcript before any comes again, in an order drawn by `seed`."""
    shipped = [item.event for item in shipped_transcripts()]
    rng = random.Random(seed)
    order: list[TranscriptEvent] = []
    while len(order) < count:
        order += rng.sample(shipped, len(shipped))
    return [_renamed(event, f"bench-{seed}-{number}") for number, event in enumerate(order[:count])]


def _renamed(event: TranscriptEvent, name: str) -> TranscriptEvent:
    return event.model_copy(update={"event_id": name, "conversation_id": name})


def transcript_record(event: TranscriptEvent, settings: Settings) -> Outgoing:
    return Outgoing(settings.topic("transcripts"), event.key.encode(), encode_event(event))


def preload(settings: Settings, workload: Sequence[TranscriptEvent]) -> None:
    """All of `workload` in the topic, acknowledged."""
    with KafkaSink(settings) as sink:
        for first in range(0, len(workload), _SENT_AT_ONCE):
            sink.deliver([transcript_record(event, settings) for event in workload[first : first + _SENT_AT_ONCE]])
