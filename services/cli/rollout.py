"""`plumbline rollout`: which version is served, which one is on its way, and moving it by hand."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from getpass import getuser
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.rollout.state import Rollout
from services.presentation import printable
from services.rollout.configured import policy_of, registry_of, steering_of
from services.rollout.errors import NoRolloutError
from services.rollout.lookout import Lookout, Seen
from services.rollout.revisions import Revisions, registry_errors
from services.rollout.standing import ArmStands, Compared, remaining
from services.rollout.steering import Manual, Steering
from services.schema import current_database
from services.settings import load_settings
from services.triage.configured import salt_of
from services.triage.estimates import Estimate

app = typer.Typer(no_args_is_help=True, help="Rollouts of detectors: shadow, canary, stable, and back.")
Reason = Annotated[str, typer.Option(help="why; kept with the rollout and in the audit log")]
By = Annotated[str | None, typer.Option("--actor", help="who does this; if not given, the user of this computer")]


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Show which version is stable, which one is on its way, and how the two compare."""
    settings = load_settings()
    database = current_database(settings.database_url.get_secret_value())
    seen = Lookout(database, Revisions(registry_of(settings)), policy_of(settings), _now).look()
    if as_json:
        typer.echo(json.dumps(_as_json(seen), indent=2, default=str))
        return
    if seen is None:
        raise NoRolloutError("nothing was rolled out yet")
    _show(seen.rollout)
    if seen.compared is not None:
        _show_compared(seen.compared)


@app.command()
def history(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="how many, newest first")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
) -> None:
    """List what was done to the rollout, by whom, and why."""
    found = Revisions(registry_of(load_settings())).latest(limit)
    if as_json:
        for each in found:
            typer.echo(each.model_dump_json())
        return
    table = Table("revision", "when", "who", "step", "stage", "stable", "candidate", "why")
    for each in found:
        who, why = printable(each.actor), printable(each.reason)
        versions = (printable(each.stable), printable(each.candidate or "–"))
        table.add_row(str(each.revision), _moment(each.at), who, each.step.value, each.stage.value, *versions, why)
    _print(table)


@app.command()
def start(
    version: Annotated[str, typer.Argument(help="of a bundle in the registry")], reason: Reason, actor: By = None
) -> None:
    """Send a version that was published by hand on its way: into the shadow stage."""
    with registry_errors():
        registry_of(load_settings()).describe(version)
    _show(_steering().start(version, actor=_actor(actor), reason=reason))


@app.command()
def promote(reason: Reason, actor: By = None) -> None:
    """Make the candidate the stable version, whatever stage it is in."""
    _take(Manual.PROMOTE, reason, actor)


@app.command("roll-back")
def roll_back(reason: Reason, actor: By = None) -> None:
    """Take the candidate away; without one, go back to the stable version before this one."""
    _take(Manual.ROLL_BACK, reason, actor)


@app.command()
def pause(reason: Reason, actor: By = None) -> None:
    """Leave the candidate where it is until somebody resumes. Harm that shows still rolls it back."""
    _take(Manual.PAUSE, reason, actor)


@app.command()
def resume(reason: Reason, actor: By = None) -> None:
    """Let the stage go on."""
    _take(Manual.RESUME, reason, actor)


def _take(manual: Manual, reason: str, actor: str | None) -> None:
    _show(_steering().take(manual, actor=_actor(actor), reason=reason))


def _actor(given: str | None) -> str:
    return given if given is not None else f"cli:{getuser()}"


def _steering() -> Steering:
    settings = load_settings()
    database = current_database(settings.database_url.get_secret_value())
    return steering_of(settings, database, registry_of(settings), salt_of(database), _now)


def _now() -> datetime:
    return datetime.now(UTC)


def _as_json(seen: Seen | None) -> dict[str, Any]:
    if seen is None:
        return {"rollout": None, "compared": None}
    compared = asdict(seen.compared) if seen.compared else None
    return {"rollout": seen.rollout.model_dump(mode="json"), "compared": compared}


def _show(rollout: Rollout) -> None:
    where = f"{rollout.stage.value}{', paused' if rollout.paused else ''}"
    share = f", for {rollout.share:.0%} of conversations" if rollout.share else ""
    versions = f"stable {rollout.stable}" + (f", candidate {rollout.candidate}{share}" if rollout.candidate else "")
    typer.echo(f"revision {rollout.revision}: {where}; {versions}")
    why = f"{rollout.step.value} by {printable(rollout.actor).plain}: {printable(rollout.reason).plain}"
    typer.echo(f"{_moment(rollout.at)} {why}")


def _show_compared(compared: Compared) -> None:
    table = Table("arm", "version", "events", "conversations", "flagged", "incomplete", "confirmed", "time of an event")
    for arm in compared.arms:
        table.add_row(*_row(arm))
    _print(table)
    watched = Table("watched", "what was seen", "p of harm", "p of doubt", "within")
    for each in compared.findings:
        doubt = "–" if each.doubt is None else f"{each.doubt:.2g}"
        watched.add_row(
            each.what.value, printable(each.words), f"{each.harm:.2g}", doubt, "yes" if each.is_within else "no"
        )
    _print(watched)
    events, time = remaining(compared, _now())
    if events or time:
        typer.echo(f"this stage takes at least {events} more events and {time.total_seconds() / 60:.0f} more minutes")


def _row(arm: ArmStands) -> tuple[str | Text, ...]:
    seconds = "–" if arm.seconds_per_event is None else f"{arm.seconds_per_event * 1000:.1f} ms"
    shares = (_share(arm.flagged), _share(arm.incomplete), _share(arm.confirmed))
    return (arm.arm.value, printable(arm.version), str(arm.events), str(arm.conversations), *shares, seconds)


def _share(estimate: Estimate | None) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})" if estimate else "–"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _print(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else 200).print(table)
