"""Commands, and what every command does about errors: one line that says what to do, and an exit code.

0: done. 1: something failed. 2: settings or arguments make no sense. 3: stopped because too much could not be read.
"""

from __future__ import annotations

import sys

import structlog
import typer

from detectors.errors import DetectorsError
from services.cli import (
    accounts,
    adapt,
    cases,
    dead_letters,
    demo,
    doctor,
    evaluate,
    export,
    grafana,
    judge,
    registry,
    retrain,
    rollout,
    score,
    services_commands,
    thresholds,
    topics,
    triage,
    verdicts,
)
from services.errors import DeadLetterFlood, ServicesError, SettingsError

app = typer.Typer(
    name="plumbline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Watches deployed LLM agents for agentic misalignment: transcripts in, verdicts with evidence out.\n\n"
        "Try it: [bold]plumbline demo[/bold]. Score files without Kafka: [bold]plumbline score FILE --output -[/bold]. "
        "Check a set-up: [bold]plumbline doctor[/bold].\n\n"
        "All settings are environment variables PLUMBLINE_*, for example PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS, "
        "PLUMBLINE_DATABASE_URL, PLUMBLINE_BUNDLE; `plumbline settings` lists them."
    ),
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.command("score-stream")(services_commands.score_stream)
app.command("record")(services_commands.record)
app.command("correlate")(services_commands.correlate)
app.command("probe")(services_commands.probe)
app.command("triage")(triage.triage)
app.command("broker")(services_commands.broker)
app.command("replay")(services_commands.replay_files)
app.command("score")(score.score)
app.command("evaluate")(evaluate.evaluate)
app.command("thresholds")(thresholds.thresholds)
app.command("adapt")(adapt.adapt)
app.command("judge")(judge.judge)
app.command("export")(export.export)
app.command("verdicts")(verdicts.verdicts)
app.add_typer(accounts.app, name="accounts")
app.add_typer(cases.app, name="cases")
app.command("erase")(triage.erase)
app.add_typer(triage.audit_app, name="audit")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(grafana.app, name="grafana")
app.add_typer(registry.app, name="registry")
app.add_typer(retrain.app, name="retrain")
app.add_typer(rollout.app, name="rollout")
app.add_typer(topics.app, name="topics")
app.command("doctor")(doctor.doctor)
app.command("settings")(doctor.list_settings)


def main() -> None:
    """Entry point."""
    sys.exit(_run())


def _run() -> int:
    try:
        result = app(standalone_mode=False)
    except SettingsError as error:
        return _failed(str(error), 2)
    except DeadLetterFlood as error:
        structlog.get_logger().error("stopped", reason=str(error))
        return _failed(str(error), 3)
    except (ServicesError, DetectorsError, OSError) as error:
        return _failed(str(error), 1)
    except typer.Abort:
        return 130
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "show"):  # a usage error of the command line
            error.show()
            return int(error.exit_code)
        # A bug. Its message may quote content, so only its kind and place are shown.
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
        return _failed(f"unexpected {type(error).__name__} at {place}; nothing unfinished was committed", 70)
    return result if isinstance(result, int) else 0


def _failed(message: str, code: int) -> int:
    for line in message.splitlines():
        typer.echo(f"plumbline: {line}", err=True)
    return code
