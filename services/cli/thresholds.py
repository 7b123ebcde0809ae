"""`plumbline thresholds`: how low may the thresholds be, for the alerts that people can look at?"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from detectors.alert_budget import Solution, solve
from detectors.bundle import load_bundle, rethresholded
from detectors.codec import decode_verdict
from detectors.taxonomy import MISALIGNMENT, NEVER_AN_ALERT
from detectors.verdict import Status, Verdict
from services.errors import SettingsError
from services.settings import load_settings
from services.store import Store, open_engine

_MOST = 200_000


def thresholds(
    alerts_per_day: Annotated[
        float, typer.Option(help="flagged conversations a day that people can look at", min=0.01)
    ],
    verdicts: Annotated[
        list[Path] | None, typer.Option(help="verdict lines of past traffic; the database if not given; repeatable")
    ] = None,
    days: Annotated[
        float | None, typer.Option(help="what the traffic spans; from the times of its events if not given")
    ] = None,
    floor: Annotated[float, typer.Option(help="no threshold is below this", min=0.0, max=1.0)] = 0.5,
    write: Annotated[Path | None, typer.Option(help="new folder for a bundle with these thresholds")] = None,
) -> None:
    """Solve the thresholds from an alert budget and past traffic, explain them, and write a bundle that has them."""
    settings = load_settings()
    manifest = load_bundle(settings.bundle).manifest
    past = [
        verdict
        for verdict in (_from_files(verdicts) if verdicts else _from_database())
        if verdict.bundle_version == manifest.version and verdict.status is not Status.UNSCORED and verdict.arm.decides
    ]
    if not past:
        raise SettingsError(f"no scored traffic of {manifest.version} to choose thresholds from")
    span = days if days is not None else _days(past)
    if span <= 0:
        raise SettingsError("all of this traffic is of one moment: say what it spans with --days")
    labels = [label for label in manifest.heads if label not in NEVER_AN_ALERT]
    solution = solve(_highest(past, labels), days=span, alerts_per_day=alerts_per_day, floor=floor)
    _explain(solution, alerts_per_day, floor)
    if write is not None:
        chosen = {**manifest.thresholds, **{label: each.threshold for label, each in solution.labels.items()}}
        made = rethresholded(settings.bundle, write, chosen)
        typer.echo(f"wrote {made.version} to {write}")


def _from_files(paths: list[Path]) -> list[Verdict]:
    return [decode_verdict(line) for path in paths for line in path.read_bytes().splitlines() if line.strip()]


def _from_database() -> list[Verdict]:
    return Store(open_engine(load_settings().database_url.get_secret_value())).verdicts(limit=_MOST)


def _days(past: list[Verdict]) -> float:
    moments = [verdict.occurred_at for verdict in past]
    return (max(moments) - min(moments)) / timedelta(days=1)


def _highest(past: list[Verdict], labels: list[str]) -> dict[str, np.ndarray]:
    """[conversations] of each label: a conversation alerts once, by its highest verdict."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for verdict in past:
        mine = found.setdefault((verdict.tenant_id, verdict.conversation_id), dict.fromkeys(labels, 0.0))
        for label in labels:
            score = verdict.misalignment if label == MISALIGNMENT else verdict.scores.get(label)
            mine[label] = max(mine[label], score or 0.0)
    return {label: np.asarray([scores[label] for scores in found.values()]) for label in labels}


def _explain(solution: Solution, alerts_per_day: float, floor: float) -> None:
    console = Console()
    console.print(
        f"{solution.conversations} conversations in {solution.days:.2f} days; budget {alerts_per_day:g} a day. With "
        f"these thresholds {solution.per_day:.2f} a day would have been flagged; of as much traffic again, expect "
        f"{solution.low:.2f} to {solution.high:.2f} (95 %)."
    )
    table = Table("label", "threshold", "a day", "95 %", "set by")
    for label, each in solution.labels.items():
        reason = f"floor {floor:g}" if each.at_floor else "budget"
        table.add_row(label, f"{each.threshold:.4f}", f"{each.per_day:.2f}", f"{each.low:.2f}–{each.high:.2f}", reason)
    console.print(table)
    console.print("Each label may flag the same share of traffic; a conversation that several flag counts once.")
