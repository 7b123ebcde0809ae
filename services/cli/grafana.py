"""`plumbline grafana`: dashboards and annotations in a Grafana that is already there."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from services.grafana.push import Grafana
from services.grafana.settings import load_grafana_settings

app = typer.Typer(no_args_is_help=True, help="Dashboards and annotations in Grafana (PLUMBLINE_GRAFANA_*).")


class Kind(StrEnum):
    DEPLOYMENT = "deployment"
    PROMOTION = "promotion"
    INCIDENT = "incident"


@app.command()
def push() -> None:
    """Create or update folder, data source and dashboards. A second time changes nothing."""
    done = Grafana(load_grafana_settings()).push()
    for line in done or ["everything is as it should be"]:
        typer.echo(line)


@app.command()
def annotate(
    kind: Annotated[Kind, typer.Option(help="what happened")],
    text: Annotated[str, typer.Option(help="in words, for everybody who looks at a dashboard")],
    at: Annotated[datetime | None, typer.Option(help="when; this minute, if it is not said")] = None,
    model_version: Annotated[str | None, typer.Option(help="of the monitored model, where it is about one")] = None,
) -> None:
    """Mark a moment on every dashboard. The same about the same moment is marked once."""
    # To the minute: a script that tries again makes no second mark.
    moment = (at or datetime.now(UTC).replace(second=0, microsecond=0)).astimezone(UTC)
    new = Grafana(load_grafana_settings()).annotate(kind.value, text, int(moment.timestamp() * 1000), model_version)
    typer.echo("marked" if new else "was marked already")
