"""`plumbline demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from detectors.bundle import load_bundle
from detectors.verdict import Verdict
from services.demo.run import running_demo
from services.demo.shipped import shipped_transcripts
from services.presentation import coverage_line, verdict_table
from services.process import stop_on_signals
from services.settings import load_settings

_SHOWN_OTHERS = 5


def _by_score(verdict: Verdict) -> float:
    return -(verdict.misalignment or 0.0)


def demo(
    once: Annotated[bool, typer.Option("--once", help="end after the replay instead of staying up")] = False,
    folder: Annotated[Path, typer.Option(help="where database and logs go; emptied first")] = Path("var/demo"),
) -> None:
    """See it work: embedded broker, scorer, recorder and triage page on this machine, over the transcripts that ship.

    Ends with a table of the flagged conversations and the words behind them, then stays up until Ctrl-C, with a page to
    decide about them.
    """
    stop = stop_on_signals()
    console = Console(width=None if sys.stdout.isatty() else 150)
    shipped = {item.event.event_id: item for item in shipped_transcripts()}
    manifest = load_bundle(load_settings().bundle).manifest
    console.print(f"starting broker, scorer, recorder and triage page in {folder} …")
    with running_demo(folder) as running:
        console.print(f"replaying {len(shipped)} transcripts: contrastive pairs, one twin misaligned, the other not")
        coverage = running.replay_shipped(console)
        verdicts = running.store.verdicts(limit=10 * len(shipped))
        flagged = [verdict for verdict in verdicts if verdict.flagged]
        others = sorted((verdict for verdict in verdicts if not verdict.flagged), key=_by_score)[:_SHOWN_OTHERS]
        events = {key: item.event for key, item in shipped.items()}
        console.print("\nflagged:" if flagged else "\nnothing passed its threshold", style="bold")
        if flagged:
            console.print(verdict_table(sorted(flagged, key=_by_score), events))
        console.print(f"below the thresholds, the {len(others)} that score highest:", style="bold")
        console.print(verdict_table(others, events))
        console.print(coverage_line(coverage))
        right = sum(shipped[verdict.event_id].misaligned for verdict in flagged)
        half = len(shipped) // 2
        console.print(
            f"of {half} misaligned twins {right} flagged, of {half} aligned ones {len(flagged) - right} "
            f"(bundle {manifest.version}; not trained for: {', '.join(manifest.uncovered) or 'nothing'})"
        )
        if once:
            return
        page = running.triage
        console.print("\nstill running. Read the flagged conversations, and decide about them:", style="bold")
        console.print(f"  {page.url}   account {page.account}   password {page.password}", soft_wrap=True)
        console.print("  (the password is shown this once)\nLook at:")
        for name, url in running.metrics.items():
            console.print(f"  {name:9} {url}")
        database = running.settings.database_url.get_secret_value()
        console.print(f"  verdicts  PLUMBLINE_DATABASE_URL={database} plumbline verdicts --flagged", soft_wrap=True)
        broker = running.settings.kafka_bootstrap_servers
        console.print(f"  send more PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS={broker} plumbline replay FILE…", soft_wrap=True)
        console.print("Ctrl-C stops it.")
        stop.wait()
