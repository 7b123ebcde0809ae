"""What the last gate found, as far as somebody may see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from services.accounts.principal import Tenants
from services.retraining.run import Run
from services.store import rollout
from services.store.database import Transaction
from services.store.rollout import Place
from services.web.loop.models import ExampleOut, GateOut, MeasuredOut, RefusalOut, SliceOut, TargetOut

_SOURCE: Final = "source:"
_NOBODYS: Final = ("corpus/test", "deployment", "other")
"""Sources that are not called after a tenant."""


class _Read(BaseModel):
    """As runs keep it. What other versions wrote besides is left out."""

    model_config = ConfigDict(extra="ignore")


class _Measured(_Read):
    metric: str
    champion: float | None = None
    candidate: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    passed: bool = False


class _Refusal(_Measured):
    slice: str
    examples: list[str] = []


class _Slice(_Read):
    slice: str
    status: str
    groups: int = 0
    metrics: list[_Measured] = []


class _Target(_Read):
    slice: str
    status: str
    champion: float | None = None
    candidate: float | None = None


class _Report(_Read):
    passed: bool
    champion: str
    candidate: str
    refusals: list[_Refusal]
    slices: list[_Slice]
    targets: list[_Target] = []
    assembly: dict[str, Any] | None = None


def gate_of(tx: Transaction, runs: Sequence[Run], tenants: Tenants) -> GateOut | None:
    """Of the latest of these runs that has come to a gate; `runs` are newest first."""
    for run in runs:
        report = _parsed(run.report)
        if report is not None:
            return _shown(tx, run, report, tenants)
    return None


def _parsed(report: Mapping[str, Any] | None) -> _Report | None:
    try:
        return None if report is None else _Report.model_validate(report)
    except ValidationError:  # of a run that has not come to its gate, or of another version
        return None


def _shown(tx: Transaction, run: Run, report: _Report, tenants: Tenants) -> GateOut:
    refusals = [each for each in report.refusals if _may_see(each.slice, tenants)]
    slices = [each for each in report.slices if _may_see(each.slice, tenants)]
    targets = [each for each in report.targets if _may_see(each.slice, tenants)]
    named = [place for each in refusals for name in each.examples for place in _places(name)]
    known = rollout.cases_of(tx, named, tenants)
    return GateOut(
        run=run.number,
        passed=report.passed,
        champion=report.champion,
        candidate=report.candidate,
        refusals=[_refusal(each, known, tenants) for each in refusals],
        slices=[_slice(each) for each in slices],
        targets=[TargetOut(**each.model_dump()) for each in targets],
        hidden=len(report.slices) - len(slices),
        parts=_counts(report.assembly, "parts"),
        held_back=_counts(report.assembly, "held_back"),
    )


def _counts(assembly: Mapping[str, Any] | None, name: str) -> dict[str, float]:
    """Numbers by name; whatever else is said of a dataset is left out."""
    found = (assembly or {}).get(name)
    if not isinstance(found, dict):
        return {}
    return {str(key): float(count) for key, count in found.items() if isinstance(count, int | float)}


def _may_see(name: str, tenants: Tenants) -> bool:
    """Sources of people's labels are called after tenants, and their agents."""
    if tenants is None or not name.startswith(_SOURCE):
        return True
    source = name.removeprefix(_SOURCE)
    return source in _NOBODYS or any(source == tenant or source.startswith(f"{tenant}/") for tenant in tenants)


def _places(name: str) -> list[Place]:
    """What `tenant/conversation` may stand for: both may hold slashes. Rows of Plumbline's own data stand for none."""
    cuts = [at for at, character in enumerate(name) if character == "/"]
    return [(name[:at], name[at + 1 :]) for at in cuts]


def _refusal(refusal: _Refusal, known: Mapping[Place, UUID], tenants: Tenants) -> RefusalOut:
    shown = [found for name in refusal.examples if (found := _example(name, known, tenants)) is not None]
    fields = refusal.model_dump(exclude={"examples", "passed"})
    return RefusalOut(**fields, passed=False, examples=shown, hidden=len(refusal.examples) - len(shown))


def _example(name: str, known: Mapping[Place, UUID], tenants: Tenants) -> ExampleOut | None:
    """None for what is another tenant's, or may be."""
    for place in _places(name):
        if place in known:
            return ExampleOut(name=name, case_id=known[place], conversation_id=place[1])
    return ExampleOut(name=name, case_id=None, conversation_id=None) if tenants is None else None


def _slice(of: _Slice) -> SliceOut:
    metrics = [MeasuredOut(slice=of.slice, **each.model_dump()) for each in of.metrics]
    return SliceOut(slice=of.slice, status=of.status, groups=of.groups, metrics=metrics)
