"""`plumbline score`: files in, verdicts out, without a broker."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from detectors.codec import encode_verdict
from services.cli.services_commands import Files
from services.file_scoring import score_files
from services.progress import progress
from services.settings import load_settings


def score(
    files: Files,
    output: Annotated[
        str, typer.Option(help="file for the verdicts, one JSON object a line; - is standard output")
    ] = "-",
) -> None:
    """Score transcripts from files with no broker: one verdict a line, by the same code as the stream.

    Reads Plumbline events, OpenAI- and Anthropic-style message lists, and {id, messages} lines, plain or .gz. Evidence
    offsets count characters of the named message part. Lines that cannot be read are named on standard
    error, and the exit code is then 1.
    """
    settings = load_settings()
    refused = 0
    with ExitStack() as stack:
        sink = sys.stdout.buffer if output == "-" else stack.enter_context(Path(output).open("wb"))
        advance = stack.enter_context(progress("scored"))
        for item in score_files(settings, files, now=lambda: datetime.now(UTC)):
            if item.verdict is None:
                typer.echo(f"{item.place}: {item.error}", err=True)
                refused += 1
            else:
                sink.write(encode_verdict(item.verdict) + b"\n")
                sink.flush()
            advance(1)
    raise typer.Exit(1 if refused else 0)
