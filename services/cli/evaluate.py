"""`plumbline evaluate`: how good a bundle is, on labelled transcripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from services.errors import SettingsError
from services.settings import load_settings


def evaluate(
    sets: Annotated[
        list[Path] | None,
        typer.Argument(help="labelled .jsonl(.gz) files, or folders of them; none: only our own pairs"),
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="folder of the bundle; the configured one if not given")] = None,
    train: Annotated[
        Path | None, typer.Option(help="folder of training files: prints the linear baseline beside every number")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="file for all results, as JSON")] = None,
    plot: Annotated[Path | None, typer.Option(help="file for a picture, .png or .svg")] = None,
    per_set: Annotated[int, typer.Option(help="at most so many conversations of a set", min=10)] = 400,
    threads: Annotated[int, typer.Option(help="threads for the models", min=1)] = 2,
) -> None:
    """Measure a bundle on labelled transcripts: AUROC, recall at low false-positive rates, calibration, evidence.

    Needs the extra 'retrain'. Plumbline's own test pairs are always measured.
    """
    try:
        from retrain.evaluate import Options, run, write
        from retrain.plots import plot_sets
    except ImportError as error:
        raise SettingsError(f"evaluating needs {error.name}: pip install 'plumbline[retrain]'") from None
    folder = bundle or load_settings().bundle
    results = run(folder, sets or [], train, Options(per_set=per_set, threads=threads))
    if output is not None:
        write(results, output)
    else:
        typer.echo(json.dumps(results, indent=1))
    if plot is not None:
        plot_sets(results, plot)
