"""`plumbline adapt`: confirmed labels of one deployment in, a bundle that knows it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.errors import SettingsError
from services.settings import load_settings


def adapt(
    labels: Annotated[
        list[Path], typer.Argument(help="labelled .jsonl(.gz) lines: id, label, category, group, messages")
    ],
    output: Annotated[Path, typer.Option(help="new folder for the adapted bundle")],
    name: Annotated[str, typer.Option(help="name of the new bundle")] = "adapted",
    bundle: Annotated[Path | None, typer.Option(help="bundle to start from; the configured one if not given")] = None,
    threads: Annotated[int, typer.Option(help="threads for the models", min=1)] = 2,
) -> None:
    """Adapt a bundle to one deployment from its confirmed cases, in minutes. Needs the extra 'retrain'.

    Refits the screen's weights and the conversation head for overall misalignment; other labels stay as they are.
    """
    try:
        from retrain.adaptation import write_adapted
    except ImportError as error:
        raise SettingsError(f"adapting needs {error.name}: pip install 'plumbline[retrain]'") from None
    try:
        manifest = write_adapted(bundle or load_settings().bundle, labels, output, name=name, threads=threads)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    typer.echo(f"wrote {manifest.version} to {output}")
