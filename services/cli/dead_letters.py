"""`plumbline dead-letters`: what could not be read, why, and another try."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from detectors.codec import decode_event
from detectors.errors import RecordError
from services.dead_letters import DeadLetter, dead_topic, from_record
from services.errors import ServicesError
from services.kafka import KafkaSink, read_topic
from services.presentation import printable
from services.records import Outgoing
from services.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, help="Records that cannot be read: list, show, repair and replay them.")
Place = Annotated[str, typer.Argument(help="where the record came from: TOPIC:PARTITION:OFFSET, as `list` shows it")]


@app.command("list")
def list_letters() -> None:
    """List dead letters: where each came from, and why it could not be read. Shows no content."""
    table = Table("place", "died at", "bytes", "code", "reason")
    count = 0
    for letter in _letters(load_settings()).values():
        when, size = f"{letter.died_at:%Y-%m-%d %H:%M:%S}", f"{letter.size:,}"
        table.add_row(printable(letter.place), when, size, printable(letter.code), printable(letter.reason))
        count += 1
    Console(width=None if sys.stdout.isatty() else 200).print(table if count else "no dead letters")


@app.command()
def show(place: Place) -> None:
    """Write one dead letter's bytes to standard output, as they came: `> fixed.json`, repair, then `replay --value`."""
    letter = _letter(load_settings(), place)
    typer.echo(printable(f"{letter.place}: {letter.code}: {letter.reason}").plain, err=True)
    if letter.value is None:
        raise ServicesError(
            f"it was too large to be kept: {letter.size:,} bytes, still at {letter.place} until Kafka drops it"
        )
    if sys.stdout.isatty():  # hostile input: no escape sequence of it reaches a terminal
        typer.echo(printable(letter.value.decode(errors="replace")).plain)
    else:
        sys.stdout.buffer.write(letter.value)
        sys.stdout.buffer.flush()


@app.command()
def replay(
    place: Place,
    value: Annotated[
        Path | None, typer.Option(help="file with the repaired record; without it, the record as it was")
    ] = None,
) -> None:
    """Send one dead letter to its topic again, repaired or (after a fix of ours) as it was."""
    settings = load_settings()
    letter = _letter(settings, place)
    data = letter.value if value is None else value.read_bytes()
    if data is None:
        raise ServicesError(f"it was too large to be kept ({letter.size:,} bytes): give the record with --value")
    key = letter.key
    if letter.topic == settings.topic("transcripts"):
        try:
            key = decode_event(data).key.encode()
        except RecordError as error:
            raise ServicesError(f"it still cannot be read: {error.reason}") from None
    with KafkaSink(settings) as sink:
        sink.deliver([Outgoing(letter.topic, key, data)])
    typer.echo(f"{place} sent to {letter.topic}", err=True)


def _letter(settings: Settings, place: str) -> DeadLetter:
    letter = _letters(settings).get(place)
    if letter is None:
        raise ServicesError(f"no dead letter from {place}; `plumbline dead-letters list` shows those there are")
    return letter


def _letters(settings: Settings) -> dict[str, DeadLetter]:
    """By place. One that was delivered more than once is there once."""
    return {letter.place: letter for letter in _all_letters(settings)}


def _all_letters(settings: Settings) -> Iterator[DeadLetter]:
    for topic in ("transcripts", "verdicts"):
        for record in read_topic(settings, dead_topic(settings.topic(topic))):
            yield from_record(record)
