"""`plumbline retrain`: the process that retrains, a run by hand, and where it all stands."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from getpass import getuser
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.console import Console
from rich.table import Table

from services.logs import configure_logs
from services.presentation import printable
from services.process import run_retrainer, stop_on_signals
from services.retraining.run import Request, Run
from services.retraining.situation import limits_of
from services.retraining.stages import refusals_in_words
from services.retraining.status import Status, status
from services.rollout.configured import registry_of
from services.rollout.revisions import registry_errors
from services.schema import current_database
from services.settings import Settings, load_settings
from services.store import audit, loop

app = typer.Typer(no_args_is_help=True, help="Retraining: from people's labels to a candidate on its way.")
_LONGEST = 500


class ModeName(StrEnum):
    REFRESH = "refresh"
    FULL = "full"


@app.command()
def serve() -> None:
    """Keep labels from the queue, retrain when it is time, and decide about rollouts until stopped: the retrainer.

    Several may run; one drives. SIGTERM ends it; a run that was under way goes on at the next start.
    """
    settings = load_settings()
    configure_logs(settings)
    run_retrainer(settings, stop_on_signals())


@app.command("now")
def ask(
    reason: Annotated[str, typer.Option(help="why; kept with the run and in the audit log")],
    mode: Annotated[ModeName | None, typer.Option(help="refresh: minutes; full: the encoder as well")] = None,
) -> None:
    """Ask for a run. It starts as soon as none is under way, whatever else it would wait for."""
    said = " ".join(reason.split())[:_LONGEST]
    if not said or not said.isprintable():
        raise typer.BadParameter("say why, in words", param_hint="--reason")
    database = current_database(load_settings().database_url.get_secret_value())
    now, actor = datetime.now(UTC), f"cli:{getuser()}"
    request = Request(uuid4(), actor, said, None if mode is None else mode.value, now)
    with database.write() as tx:
        loop.ask(tx, request)
        audit.append(tx, now, actor, "retraining.asked", str(request.request_id), {"reason": said, "mode": mode})
    typer.echo("asked for; `plumbline retrain status` shows what becomes of it")


@app.command("status")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="how many of the last runs")] = 10,
) -> None:
    """Show the run under way, what the next one waits for, and how the last ones ended."""
    settings = load_settings()
    found = _status(settings, runs)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    typer.echo(_under_way(found.under_way))
    typer.echo(f"next: {printable(found.next).plain}")
    of_category = (f"{count} {category or 'without category'}" for category, count in sorted(found.confirmed.items()))
    enough = settings.retraining_new_labels
    confirmed = f"new labels: confirmed {', '.join(of_category) or 'none'} ({enough} of one category start a run)"
    typer.echo(f"{confirmed}, dismissed {found.dismissed}")
    if found.refusals:
        typer.echo(f"the last refusal: {printable(refusals_in_words({'refusals': found.refusals})).plain}")
    _print(found.runs)


def _status(settings: Settings, runs: int) -> Status:
    """With the rollout, where there is a registry."""
    rollout = None
    if settings.registry is not None:
        with registry_errors():
            rollout = registry_of(settings).rollout()
    database = current_database(settings.database_url.get_secret_value())
    with database.read() as tx:
        return status(tx, rollout, limits_of(settings), datetime.now(UTC), runs=runs)


def _under_way(run: Run | None) -> str:
    if run is None:
        return "no run is under way"
    said = f": {printable(run.said).plain}" if run.said else ""
    return f"run {run.number} is {run.stage.value}, {run.progress:.0%}, attempt {max(1, run.attempts)}{said}"


def _print(runs: list[Run]) -> None:
    if not runs:
        return
    table = Table("run", "started", "trigger", "mode", "stage", "new labels", "dataset", "candidate", "said")
    for run in runs:
        table.add_row(*map(str, _row(run)))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _row(run: Run) -> tuple[Any, ...]:
    stage = run.outcome.value if run.outcome else run.stage.value
    facts = (run.new_labels, run.dataset or "–", run.candidate or "–", printable(run.said or "–").plain)
    return (run.number, f"{run.started_at:%Y-%m-%d %H:%M}", run.trigger, run.mode, stage, *facts)
