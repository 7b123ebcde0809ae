"""`plumbline triage`, `erase`, `audit`: the page for people on call, and what is owed to those they read about."""

from __future__ import annotations

from datetime import UTC, datetime
from getpass import getuser
from typing import Annotated

import typer

from services.logs import configure_logs
from services.process import run_triage, stop_on_signals
from services.safety_export.configured import register_of
from services.schema import current_database
from services.settings import load_settings
from services.store import Database, audit
from services.triage.configured import salt_of
from services.triage.forgetting import Forgetting

audit_app = typer.Typer(no_args_is_help=True, help="The audit log: what people did, chained by hashes.")


def triage() -> None:
    """Serve the triage page and its API until stopped: the triage service.

    Needs accounts: `plumbline accounts create`, or OIDC by PLUMBLINE_OIDC_ISSUER. What people decide goes to the
    topic `retraining.queue` from here.
    """
    settings = load_settings()
    configure_logs(settings)
    run_triage(settings, stop_on_signals())


def erase(
    tenant: Annotated[str, typer.Option(help="tenant id")],
    reason: Annotated[str, typer.Option(help="why; kept in the audit log")],
    subject: Annotated[
        str | None, typer.Option(help="everything about this person, as senders name them in `user.id`")
    ] = None,
    conversation: Annotated[str | None, typer.Option(help="this conversation")] = None,
) -> None:
    """Erase a person or a conversation from every table; who was sent labels of it is told to forget them.

    Kafka's own topics keep what was sent until their retention ends.
    """
    if (subject is None) == (conversation is None):
        raise typer.BadParameter("say either --subject or --conversation")
    settings = load_settings()
    database = _database()
    topic, exports = settings.topic("retraining.queue"), register_of(settings)
    forgetting = Forgetting(database, queue_topic=topic, salt=salt_of(database), exports=exports)
    told = {"actor": f"cli:{getuser()}", "reason": reason[:500], "now": datetime.now(UTC)}
    if subject is not None:
        erased = forgetting.erase_subject(tenant, subject, **told)  # type: ignore[arg-type]
    else:
        erased = forgetting.erase_conversation(tenant, conversation or "", **told)  # type: ignore[arg-type]
    typer.echo(
        f"erased {erased.conversations} conversations with {erased.messages} messages, {erased.verdicts} verdicts, "
        f"{erased.labels} labels, {erased.cases} cases"
    )
    if erased.exports:
        typer.echo(f"taken out of the exports {', '.join(erased.exports)}: whoever has a copy has to be told")
    if erased.exports_left:
        names = ", ".join(erased.exports_left)
        typer.echo(f"STILL IN the exports {names}: they are not where they were made, or cannot be changed", err=True)
        raise typer.Exit(1)


@audit_app.command("verify")
def verify() -> None:
    """Check that no entry was changed or taken out. Exit code 1 where one was.

    Keep the number and hash that this prints somewhere else: only they show a log that was cut short at its end.
    """
    with _database().read() as tx:
        found = audit.verify(tx)
    if found.broken_at is not None:
        typer.echo(f"entry {found.broken_at}: {found.problem}; the {found.entries} before it hold together", err=True)
        raise typer.Exit(1)
    typer.echo(f"{found.entries} entries hold together; the last hash is {found.head}")


@audit_app.command("list")
def list_entries(limit: Annotated[int, typer.Option(min=1, max=100_000, help="how many, newest first")] = 50) -> None:
    """List what people did."""
    with _database().read() as tx:
        for entry in audit.latest(tx, limit=limit):
            typer.echo(f"{entry.number}\t{entry.at.isoformat()}\t{entry.actor}\t{entry.action}\t{entry.object}")


def _database() -> Database:
    return current_database(load_settings().database_url.get_secret_value())
