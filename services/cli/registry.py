"""`plumbline registry`: versions of bundles."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from deploy.registry import Registry
from deploy.registry.signing import make_key, public_key_of
from services.rollout.configured import registry_of
from services.rollout.revisions import registry_errors
from services.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="The registry: versions of bundles, digests, signatures.")
Version = Annotated[str, typer.Argument(help="of a bundle, as `list` shows it")]


@app.command("list")
def list_versions() -> None:
    """List all versions, by name; those that are served are marked."""
    registry = _registry()
    with registry_errors():
        rollout, versions = registry.rollout(), registry.versions()
    served = {rollout.stable: "stable", rollout.candidate: "candidate"} if rollout else {}
    for version in versions:
        typer.echo(f"{version}\t{served.get(version, '')}".rstrip())


@app.command()
def show(version: Version) -> None:
    """Show where a version comes from: its facts, its files with their digests, and who signed it. JSON."""
    registry = _registry()
    with registry_errors():
        record = registry.describe(version)
    typer.echo(json.dumps({**record.model_dump(mode="json"), "signed_by": record.signed_by}, indent=2))


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="of a bundle", exists=True, file_okay=False)],
    fact: Annotated[
        list[str] | None, typer.Option(help="name=value, kept with it for people; give it once for each")
    ] = None,
) -> None:
    """Add a bundle to the registry; signed, where PLUMBLINE_REGISTRY_SIGNING_KEY is set. Prints its version.

    It is served when it was rolled out: `plumbline rollout start`. Published again, it changes nothing.
    """
    registry = _registry()
    facts = dict(_fact(each) for each in fact or ())
    with registry_errors():
        typer.echo(registry.publish(folder, facts))


@app.command()
def verify(version: Version) -> None:
    """Fetch a version and check its signature and every file. Exit code 1 where something is not as published."""
    registry = _registry()
    with tempfile.TemporaryDirectory() as folder, registry_errors():
        record = registry.describe(version)
        registry.fetch(version, Path(folder))
    signed = f"signed by {record.signed_by}" if record.signed_by else "not signed"
    typer.echo(f"{version}: {len(record.files)} files are as published; {signed}")


@app.command("make-key")
def make_keys() -> None:
    """Make a pair of keys. They go to standard output, once, and are kept nowhere."""
    key = make_key()
    typer.echo(f"PLUMBLINE_REGISTRY_SIGNING_KEY={key}")
    typer.echo(f"PLUMBLINE_REGISTRY_PUBLIC_KEY={public_key_of(key)}")
    typer.echo("the first is for who publishes, and secret; the second for everybody who serves", err=True)


def _fact(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter("say name=value", param_hint="--fact")
    return name, value


def _registry() -> Registry:
    return registry_of(load_settings())
