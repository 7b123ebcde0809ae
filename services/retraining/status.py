"""Where retraining stands, for people: what is under way, what the next run waits for, and how the last ones ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from deploy.rollout.state import Rollout
from retrain.triggers import Limits, Start, decide
from services.retraining.run import Run, Stage
from services.retraining.situation import situation
from services.store import loop, queued_labels
from services.store.database import Transaction

_FACTS: Final = (
    *("number", "trigger", "reason", "requested_by", "mode", "stage", "progress", "outcome", "said"),
    *("champion", "dataset", "candidate", "new_labels", "attempts", "started_at", "stage_began_at", "ended_at"),
)


@dataclass(frozen=True, slots=True)
class Status:
    """`next`: why a run starts now, or why none does. `refusals`: of the last gate that refused."""

    runs: list[Run]
    confirmed: dict[str, int]
    dismissed: int
    flags: int
    dismissed_flags: int
    labels: dict[str, int]
    next: str
    refusals: list[Mapping[str, Any]]

    @property
    def under_way(self) -> Run | None:
        return next((run for run in self.runs if run.stage is not Stage.ENDED), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "under_way": described(self.under_way) if self.under_way else None,
            "next": self.next,
            "new_labels": {
                "confirmed": self.confirmed,
                "dismissed": self.dismissed,
                "flags": self.flags,
                "dismissed_flags": self.dismissed_flags,
            },
            "labels": self.labels,
            "refusals": list(self.refusals),
            "runs": [described(run) for run in self.runs],
        }


def status(tx: Transaction, rollout: Rollout | None, limits: Limits, now: datetime, *, runs: int) -> Status:
    """What is known now, with so many of the last runs."""
    known, request = situation(tx, rollout, now)
    latest = loop.latest(tx, limit=runs)
    decision = decide(known, limits, now)
    asked = "; another one was asked for" if request else ""
    starts = f"a run starts now ({decision.trigger}): {decision.reason}" if isinstance(decision, Start) else None
    return Status(
        runs=latest,
        confirmed=dict(known.confirmed),
        dismissed=known.dismissed,
        flags=known.flags,
        dismissed_flags=known.dismissed_flags,
        labels=queued_labels.states(tx),
        next=starts or f"{decision.reason}{asked}",
        refusals=next((found for run in latest if (found := refusals_of(run))), []),
    )


def refusals_of(run: Run) -> list[Mapping[str, Any]]:
    """What the run's gate refused it for."""
    found = (run.report or {}).get("refusals")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def described(run: Run) -> dict[str, Any]:
    """A run's facts, as JSON takes them."""
    facts = {name: getattr(run, name) for name in _FACTS}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in facts.items()}
