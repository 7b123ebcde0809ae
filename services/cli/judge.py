"""`plumbline judge`: files in, an LLM judge's verdicts out. The one command that sends transcripts to a model's API."""

from __future__ import annotations

import json
import random
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from detectors.judge import JudgeVerdict
from detectors.transcript import TranscriptEvent
from detectors.verdict import Status
from services.cli.services_commands import Files
from services.files import read_lines
from services.judge.distilling import drawn, labelled_line
from services.judge.opening import open_judge
from services.judge.settings import load_judge_settings
from services.progress import progress


def judge(
    files: Files,
    output: Annotated[
        str, typer.Option(help="file for the verdicts, one JSON object a line; - is standard output")
    ] = "-",
    sample_share: Annotated[
        float, typer.Option(help="share of the conversations to judge, drawn at random", min=0, max=1)
    ] = 1.0,
    labels: Annotated[
        Path | None, typer.Option(help="file for training data made of the verdicts, one JSON object a line")
    ] = None,
) -> None:
    """Ask a language model about transcripts from files: one verdict a line. Sends their text to its provider.

    Off unless PLUMBLINE_JUDGE_PROVIDER is openai or anthropic. Costs money, at most PLUMBLINE_JUDGE_DAILY_BUDGET a
    run. What cannot be judged is unscored for a reason, never safe. Lines that cannot be read are named on standard
    error, and the exit code is then 1.
    """
    refused = 0
    rng = random.SystemRandom()
    with ExitStack() as stack:
        judging = stack.enter_context(open_judge(load_judge_settings()))
        sink = sys.stdout.buffer if output == "-" else stack.enter_context(Path(output).open("wb"))
        lines = stack.enter_context(labels.open("wb")) if labels else None
        advance = stack.enter_context(progress("judged"))
        for line in read_lines(files, now=datetime.now(UTC)):
            if line.event is None:
                typer.echo(f"{line.place}: {line.error}", err=True)
                refused += 1
                continue
            if not drawn(sample_share, rng):
                continue
            verdict = judging.judge(line.event)
            if verdict.status is Status.UNSCORED:
                typer.echo(f"{line.place}: {verdict.reason}", err=True)
            sink.write(_line(line.event, verdict))
            sink.flush()
            if lines and (labelled := labelled_line(line.event, verdict)):
                lines.write(json.dumps(labelled, ensure_ascii=False).encode() + b"\n")
                lines.flush()
            advance(1)
    raise typer.Exit(1 if refused else 0)


def _line(event: TranscriptEvent, verdict: JudgeVerdict) -> bytes:
    ids = {"event_id": event.event_id, "tenant_id": event.tenant_id, "conversation_id": event.conversation_id}
    return json.dumps({**ids, **verdict.model_dump(mode="json")}, ensure_ascii=False).encode() + b"\n"
