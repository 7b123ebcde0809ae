"""`plumbline cases`: flagged conversations, and who looks at them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.presentation import printable
from services.schema import is_current
from services.settings import load_settings
from services.store import Store, open_engine

app = typer.Typer(no_args_is_help=True, help="Flagged conversations: list them, acknowledge them.")


@app.command("list")
def list_cases(
    open_only: Annotated[bool, typer.Option("--open", help="only those that nobody has acknowledged")] = False,
    limit: Annotated[int, typer.Option(help="how many, the gravest and oldest first", min=1, max=100_000)] = 50,
) -> None:
    """List cases."""
    table = Table("severity", "category", "tenant", "conversation", "flags", "opened", "acknowledged")
    for case in _store().cases(limit=limit, open_only=open_only):
        acknowledged = f"{case.acknowledged_at:%Y-%m-%d %H:%M} {case.acknowledged_by}" if case.acknowledged_at else "–"
        table.add_row(
            case.severity.value,
            case.category,
            printable(case.tenant_id),
            printable(case.conversation_id),
            str(case.flagged_verdicts),
            f"{case.opened_at:%Y-%m-%d %H:%M}",
            printable(acknowledged),
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@app.command()
def acknowledge(
    tenant: Annotated[str, typer.Argument(help="tenant id")],
    conversation: Annotated[str, typer.Argument(help="conversation id")],
    by: Annotated[str, typer.Option(help="who looks at it")],
) -> None:
    """Say that somebody looks at a case. A second time changes nothing."""
    case = _store().acknowledge(tenant, conversation, by=by[:100], now=datetime.now(UTC))
    if case is None:
        typer.echo("there is no such case", err=True)
        raise typer.Exit(1)
    typer.echo(f"acknowledged by {case.acknowledged_by} at {case.acknowledged_at:%Y-%m-%d %H:%M:%S}")


def _store() -> Store:
    engine = open_engine(load_settings().database_url.get_secret_value())
    if not is_current(engine):
        typer.echo("the database has no (current) schema yet: `plumbline record` brings it up to date", err=True)
        raise typer.Exit(1)
    return Store(engine)
