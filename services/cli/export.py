"""`plumbline export`: clean training data for the model that is monitored."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from getpass import getuser
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from detectors.taxonomy import LABELS
from services.errors import ServicesError, SettingsError
from services.privacy.recognisers import redactor_of
from services.safety_export.configured import all_recognisers, held_out_names, register_of, suspects_of
from services.schema import current_database
from services.settings import load_settings
from services.triage.configured import salt_of

if TYPE_CHECKING:
    from retrain.safety_data.assembling import Assembled, Options
    from services.safety_export.exporting import Exporting
    from services.safety_export.reading import Wanted

_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LICENCE: Final = "the deployment's own transcripts; not for publication"


class Redact(StrEnum):
    """How texts are redacted."""

    STORED = "stored"  # as they are stored; what people wrote themselves as configured
    AGAIN = "again"  # once more, with every recogniser that there is


def export(
    output: Annotated[
        Path | None, typer.Option(help="folder to make the export in; not needed with --coverage alone")
    ] = None,
    tenant: Annotated[list[str] | None, typer.Option(help="of this tenant alone; may be repeated")] = None,
    since: Annotated[datetime | None, typer.Option(help="labels from then on, UTC", formats=["%Y-%m-%d"])] = None,
    category: Annotated[list[str] | None, typer.Option(help="of this category alone; may be repeated")] = None,
    formats: Annotated[str, typer.Option(help="comma-separated")] = "sft,preferences,rewards,refusals",
    redact: Annotated[Redact, typer.Option(help="again: once more, with every recogniser")] = Redact.STORED,
    k: Annotated[int, typer.Option(min=0, help="k-anonymity of tenant, agent, model, language, domain and day")] = 0,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="show what the cases cover, and what is missing")
    ] = False,
    penalise_reasoning: Annotated[
        bool, typer.Option("--penalise-reasoning", help="penalise what the model thinks, too: it learns to hide it")
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(help="name of a dataset version: what it held back as suspicious is held back here, too"),
    ] = None,
    licence: Annotated[str, typer.Option(help="what is said about licence and source")] = _LICENCE,
) -> None:
    """Export what people confirmed and corrected as training data for the model: SFT, preferences, rewards, refusals.

    Parquet and JSON lines that `datasets` and TRL read. Nothing that a held-out detector had a part in. Needs the extra
    'retrain'. See docs/safety-data.md.
    """
    if output is None and not coverage:
        raise SettingsError("say where to with --output, or ask for --coverage")
    exporting, wanted, options = _prepared(tenant, since, category, formats, redact, k, dataset, penalise_reasoning)
    from retrain.safety_data.coverage import as_table
    from retrain.safety_data.held_out import HeldOutError
    from retrain.safety_data.rows import Origin

    origin = Origin(plumbline=version("plumbline"), licence=licence, dataset=dataset)
    facts = {"filters": _filters(wanted, k), "redacted": redact.value}
    try:
        if output is None:
            typer.echo(as_table(exporting.look(wanted, options, origin).coverage))
            return
        told: dict[str, Any] = {"actor": f"cli:{getuser()}", "now": datetime.now(UTC)}
        done = exporting.export(output, wanted, options, origin, facts=facts, **told)
    except HeldOutError as error:
        raise ServicesError(f"nothing was exported: {error}") from None
    if coverage:
        typer.echo(as_table(done.assembled.coverage))
    typer.echo(_summary(done.assembled))
    typer.echo(f"wrote {done.folder}: {done.labels} labels of {done.conversations} conversations")


def _prepared(
    tenants: list[str] | None,
    since: datetime | None,
    categories: list[str] | None,
    formats: str,
    redact: Redact,
    k: int,
    dataset: str | None,
    penalise_reasoning: bool,  # noqa: FBT001
) -> tuple[Exporting, Wanted, Options]:
    try:
        from retrain.safety_data.assembling import FORMATS, Options
        from retrain.safety_data.held_out import HeldOut
        from services.safety_export.exporting import Exporting
        from services.safety_export.reading import Reading, Wanted
    except ImportError as error:
        raise SettingsError(f"exporting needs {error.name}: pip install 'plumbline[retrain]'") from None
    chosen = tuple(filter(None, (each.strip() for each in formats.split(","))))
    _known("--formats", chosen, FORMATS)
    _known("--category", categories or (), LABELS)
    wanted = Wanted(frozenset(tenants) if tenants else None, (since or _BEGINNING).replace(tzinfo=UTC))
    settings = load_settings()
    database = current_database(settings.database_url.get_secret_value())
    again = all_recognisers(settings) if redact is Redact.AGAIN else None
    reading = Reading(database, salt=salt_of(database), answers=again or redactor_of(settings), again=again)
    held_out = HeldOut(*held_out_names(settings, database))
    exporting = Exporting(database, reading, register_of(settings), held_out)
    suspects = {} if dataset is None else suspects_of(settings, dataset)
    return exporting, wanted, Options(chosen, frozenset(categories or ()), penalise_reasoning, k, suspects)


def _known(option: str, given: list[str] | tuple[str, ...], known: tuple[str, ...]) -> None:
    if (not given and option == "--formats") or not set(given) <= set(known):
        unknown = ", ".join(sorted(set(given) - set(known))) or "nothing"
        raise SettingsError(f"{option}: {unknown}: expected some of {', '.join(known)}")


def _filters(wanted: Wanted, k: int) -> dict[str, Any]:
    """What was asked for. Where rows are to tell no tenant, neither does this."""
    if k > 1:
        return {"tenants": None if wanted.tenants is None else len(wanted.tenants), "since": wanted.since.year}
    return {"tenants": sorted(wanted.tenants) if wanted.tenants else None, "since": wanted.since.date().isoformat()}


def _summary(assembled: Assembled) -> str:
    lines = [f"{name}: {len(rows)} rows" for name, rows in assembled.files.items()]
    for name, reasons in assembled.held_back.items():
        lines += [f"{name}: {count} held back: {reason}" for reason, count in sorted(reasons.items())]
    lines += [f"{name}: {count} rows left out for anonymity" for name, count in assembled.suppressed.items() if count]
    return "\n".join(lines)
