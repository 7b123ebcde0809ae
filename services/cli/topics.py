"""`plumbline topics`."""

from __future__ import annotations

import typer

from services.kafka import all_topics, create_topics
from services.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Kafka topics.")


@app.callback()
def topics() -> None:
    """Kafka topics."""


@app.command()
def create() -> None:
    """Create Plumbline's topics where they are missing.

    Partitions and replication come from PLUMBLINE_TOPIC_PARTITIONS and PLUMBLINE_TOPIC_REPLICATION, the largest record
    from PLUMBLINE_RECORD_MAX_BYTES. Topics that are there are left as they are.
    """
    settings = load_settings()
    created = set(create_topics(settings))
    for topic in all_topics(settings):
        typer.echo(f"{'created' if topic in created else 'exists '}  {topic}")
