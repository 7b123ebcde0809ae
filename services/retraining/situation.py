"""What is known that a run could start for: from the database, and from the rollout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from alerting.catalogue import CATALOGUE
from deploy.rollout.state import Rollout
from retrain.triggers import Limits, PastRun, Situation
from services.retraining.run import Request, Run
from services.settings import Settings
from services.store import alerts, loop, queued_labels
from services.store.database import Transaction

_DRIFT: Final = [name for name, kind in CATALOGUE.items() if kind.category == "drift"]
_DAY: Final = timedelta(days=1)


def limits_of(settings: Settings) -> Limits:
    """As configured."""
    days = settings.retraining_schedule_days
    return Limits(
        new_labels=settings.retraining_new_labels,
        quiet=timedelta(minutes=settings.retraining_quiet_minutes),
        pause=timedelta(hours=settings.retraining_pause_hours),
        schedule=timedelta(days=days) if days else None,
        false_positives=settings.retraining_false_positives,
        runs_per_day=settings.retraining_runs_per_day,
    )


def situation(tx: Transaction, rollout: Rollout | None, now: datetime) -> tuple[Situation, Request | None]:
    """What is known now, and the request that waits longest."""
    new, under_way, waiting = queued_labels.new(tx), loop.unfinished(tx), loop.waiting(tx)
    runs = loop.since(tx, now - _DAY) or loop.latest(tx, limit=1)
    request = waiting[0] if waiting else None
    known = Situation(
        confirmed=new.confirmed,
        dismissed=new.dismissed,
        flags=new.of_flags,
        dismissed_flags=new.dismissed_flags,
        newest_label_at=new.newest_at,
        oldest_label_at=queued_labels.oldest_at(tx),
        drifting=alerts.firing_since(tx, _DRIFT),
        runs=past(runs),
        under_way=under_way.number if under_way else None,
        candidate=rollout.candidate if rollout else None,
        asked=request.reason if request else None,
    )
    return known, request


def past(runs: Sequence[Run]) -> list[PastRun]:
    """Those that have ended."""
    return [PastRun(run.started_at, run.ended_at, asked=run.trigger == "manual") for run in runs if run.ended_at]
