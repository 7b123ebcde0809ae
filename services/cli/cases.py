"""`plumbline cases`: flagged conversations, and who looks at them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.presentation import printable
from services.schema import current_database
from services.settings import load_settings
from services.store import Store, cases
from services.triage.actions import Actor
from services.triage.case import UNSEEN, Case
from services.triage.configured import actions_of, salt_of

app = typer.Typer(no_args_is_help=True, help="Flagged conversations: list them, acknowledge them.")


@app.command("list")
def list_cases(
    open_only: Annotated[
        bool, typer.Option("--open", help="only those that somebody has to do something about")
    ] = False,
    limit: Annotated[int, typer.Option(help="how many, the gravest and oldest first", min=1, max=100_000)] = 50,
) -> None:
    """List cases."""
    table = Table(
        "case", "severity", "state", "category", "tenant", "agent", "conversation", "flags", "opened", "owner"
    )
    for case in _store().cases(limit=limit, open_only=open_only, now=datetime.now(UTC)):
        more = f" +{case.conversations - 1}" if case.conversations > 1 else ""
        table.add_row(
            str(case.case_id)[:8],
            case.severity.value,
            case.state.value,
            case.category,
            printable(case.tenant_id),
            printable(case.agent or "–"),
            printable(case.lead_conversation_id + more),
            str(case.flagged_verdicts),
            f"{case.opened_at:%Y-%m-%d %H:%M}",
            printable(case.owner or "–"),
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@app.command()
def acknowledge(
    tenant: Annotated[str, typer.Argument(help="tenant id")],
    conversation: Annotated[str, typer.Argument(help="conversation id")],
    by: Annotated[str, typer.Option(help="who looks at it")],
) -> None:
    """Say that somebody looks at a conversation's case. A second time changes nothing."""
    case = _acknowledged(_store(), tenant, conversation, by[:100])
    if case is None:
        typer.echo("there is no such case", err=True)
        raise typer.Exit(1)
    typer.echo(f"acknowledged by {case.acknowledged_by} at {case.acknowledged_at:%Y-%m-%d %H:%M:%S}")


def _acknowledged(store: Store, tenant: str, conversation: str, by: str) -> Case | None:
    now = datetime.now(UTC)
    actions = actions_of(load_settings(), salt_of(store.database))
    with store.database.write() as tx:
        member = cases.member(tx, tenant, conversation)
        case = cases.get(tx, member.case_id, lock=True) if member else None
        if case is None or case.state not in UNSEEN:
            return case
        return actions.acknowledge(tx, Actor(by, None), case.case_id, case.version, now)


def _store() -> Store:
    return Store(current_database(load_settings().database_url.get_secret_value()).engine)
