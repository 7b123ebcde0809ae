"""`plumbline verdicts`: what is in the database."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from detectors.codec import encode_verdict
from detectors.verdict import DECIDING, Arm
from services.files import read_lines
from services.presentation import coverage_line, verdict_table
from services.schema import current_database
from services.settings import load_settings
from services.store import Store


def verdicts(
    flagged: Annotated[bool, typer.Option("--flagged", help="only flagged conversations")] = False,
    conversation: Annotated[str | None, typer.Option(help="only this conversation id")] = None,
    limit: Annotated[int, typer.Option(help="how many, newest first", min=1, max=100_000)] = 50,
    transcripts: Annotated[
        list[str] | None, typer.Option(help="transcript file, to show the words that evidence points at; repeatable")
    ] = None,
    arm: Annotated[
        Arm | None, typer.Option(help="what this arm says; if not given, what decided: stable and canary")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """Show recorded verdicts: category, score, and where the evidence is.

    The database holds no transcripts. Give the files with --transcripts to see the words.
    """
    store = Store(current_database(load_settings().database_url.get_secret_value()).engine)
    arms = DECIDING if arm is None else (arm,)
    found = store.verdicts(limit=limit, flagged_only=flagged, conversation_id=conversation, arms=arms)
    if as_json:
        for verdict in found:
            sys.stdout.buffer.write(encode_verdict(verdict) + b"\n")
        return
    lines = read_lines(transcripts or [], now=datetime.now(UTC))
    events = {line.event.event_id: line.event for line in lines if line.event}
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(verdict_table(found, events))
    console.print(coverage_line(store.coverage()))
