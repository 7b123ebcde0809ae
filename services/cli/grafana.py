"""`plumbline grafana`: dashboards and annotations in a Grafana that is already there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer

from services.grafana.push import Grafana
from services.grafana.settings import load_grafana_settings

app = typer.Typer(no_args_is_help=True, help="Dashboards and annotations in Grafana (PLUMBLINE_GRAFANA_*).")


_SAME: Final = timedelta(minutes=10)


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
    at: Annotated[datetime | None, typer.Option(help="when; now, if it is not said")] = None,
    model_version: Annotated[str | None, typer.Option(help="of the monitored model, where it is about one")] = None,
) -> None:
    """Mark a moment on every dashboard. The same about the same moment is marked once; without a moment, once in ten
    minutes: a script that tries again makes no second mark.
    """
    moment = (at or datetime.now(UTC)).astimezone(UTC)
    since = moment if at else moment - _SAME
    grafana = Grafana(load_grafana_settings())
    new = grafana.annotate(kind.value, text, _milliseconds(moment), model_version, since_ms=_milliseconds(since))
    typer.echo("marked" if new else "was marked already")


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
