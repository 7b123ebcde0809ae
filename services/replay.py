"""Sends transcripts from files to Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import typer

from detectors.codec import encode_event
from services.errors import TooLargeError
from services.files import read_lines
from services.kafka import KafkaSink, require_topics
from services.progress import progress
from services.records import Outgoing
from services.settings import Settings

_AT_ONCE = 64

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events were sent, and how many lines could not be."""

    sent: int
    refused: int


def replay(settings: Settings, files: Iterable[str], *, rate: float = 0) -> Replayed:
    """Sends every conversation of `files`, at most `rate` a second, and names on stderr the lines that cannot be."""
    topic = settings.topic("transcripts")
    require_topics(settings, [topic])
    sent = refused = 0
    with KafkaSink(settings) as sink, progress("replay") as advance:
        for batch in _batches(read_lines(files, now=datetime.now(UTC)), 1 if rate else _AT_ONCE):
            outgoing = []
            for line in batch:
                if line.event is None:
                    refused += _refuse(line.place, str(line.error))
                else:
                    outgoing.append((line.place, Outgoing(topic, line.event.key.encode(), encode_event(line.event))))
            sent += (delivered := _deliver(sink, outgoing))
            refused += len(outgoing) - delivered
            advance(len(batch))
            if rate:
                time.sleep(1 / rate)
    return Replayed(sent, refused)


def _deliver(sink: KafkaSink, outgoing: list[tuple[str, Outgoing]]) -> int:
    """How many were delivered. A record that is too large is told, and does not keep the others from being sent."""
    try:
        sink.deliver([record for _, record in outgoing])
        return len(outgoing)
    except TooLargeError as error:
        if len(outgoing) == 1:
            _refuse(outgoing[0][0], str(error))
            return 0
    return sum(_deliver(sink, [each]) for each in outgoing)


def _refuse(place: str, reason: str) -> int:
    typer.echo(f"{place}: {reason}", err=True)
    return 1


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
