"""Commands that run a service or feed one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.embedded_broker import EmbeddedBroker
from services.logs import configure_logs
from services.process import run_correlator, run_prober, run_recorder, run_scorer, stop_on_signals
from services.replay import replay
from services.settings import load_settings

Files = Annotated[list[str], typer.Argument(help="JSON lines, plain or .gz; - is standard input", metavar="FILE...")]


def score_stream() -> None:
    """Score transcripts from Kafka until stopped: the scorer service.

    SIGTERM finishes the batch, delivers, commits and exits 0. Run as many as there are partitions.
    """
    settings = load_settings()
    configure_logs(settings)
    run_scorer(settings, stop_on_signals())


def record() -> None:
    """Record verdicts from Kafka in the database until stopped: the recorder service."""
    settings = load_settings()
    configure_logs(settings)
    run_recorder(settings, stop_on_signals())


def correlate() -> None:
    """Look at verdicts together and raise alerts until stopped: the correlator service. Run one.

    What it knows is made anew from the topics when it starts; alerts go to the topic `alerts` and to Alertmanager.
    """
    settings = load_settings()
    configure_logs(settings)
    run_correlator(settings, stop_on_signals())


def probe() -> None:
    """Send synthetic transcripts through the real topic and watch for their verdicts until stopped: the prober service.

    It also reports how far every group is behind, by the broker's own count.
    """
    settings = load_settings()
    configure_logs(settings)
    run_prober(settings, stop_on_signals())


def broker(
    port: Annotated[int, typer.Option(help="port on 127.0.0.1")] = 9092,
    log: Annotated[Path, typer.Option(help="where the broker writes its log")] = Path("var/broker.log"),
) -> None:
    """Run the embedded Kafka-compatible broker until stopped. In memory: for trying things out, not for production."""
    stop = stop_on_signals()
    with EmbeddedBroker(log, port) as embedded:
        typer.echo(f"broker at {embedded.bootstrap_servers}; stop it with Ctrl-C", err=True)
        stop.wait()


def replay_files(
    files: Files,
    rate: Annotated[float, typer.Option(help="events a second; 0: as fast as possible", min=0)] = 0,
) -> None:
    """Send transcripts from files to Kafka, as if agents had sent them.

    Reads Plumbline events, OpenAI- and Anthropic-style message lists, and {id, messages} lines. The same line always
    becomes the same event, so sending a file twice changes nothing.
    """
    result = replay(load_settings(), files, rate=rate)
    typer.echo(f"{result.sent} sent, {result.refused} refused", err=True)
    raise typer.Exit(1 if result.refused else 0)
