"""A retrainer that is to be killed at one step, for a process of its own.

It kills itself once, and leaves the file `killed` in FOLDER; started again, it leaves `again`, and goes on. Its
children are those of `tests.retraining_children`, steered by FOLDER. Without SIGTERM it never ends.
"""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from prometheus_client import CollectorRegistry

from services import process, retrain_process
from services.logs import configure_logs
from services.metrics import StreamMetrics
from services.process import stop_on_signals
from services.retrain_process import retrainer_of
from services.rollout.configured import registry_of
from services.settings import load_settings
from services.store import Database, open_engine
from tests.retraining_children import fake_commands
from tests.retraining_hooks import HookedKeeper, HookedLedger, HookedRegistry, HookedStages

LEASE_FOR = timedelta(seconds=2)


def main(step: str, folder: Path) -> None:
    """As `services.process.run_retrainer`, but for the hooks and the children; rollouts stay where they are."""
    settings = load_settings()
    configure_logs(settings)
    mark = folder / "killed"

    def at(reached: str) -> None:
        if reached == step and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    HookedStages.at, HookedStages.steering, HookedKeeper.at = staticmethod(at), folder, staticmethod(at)
    retrain_process.Stages = HookedStages  # type: ignore[misc]
    retrain_process.QueueKeeper = HookedKeeper  # type: ignore[misc]
    database = Database(open_engine(settings.database_url.get_secret_value()))
    registry, stop = CollectorRegistry(), stop_on_signals()
    if mark.exists():
        (folder / "again").touch()
    retrainer = retrainer_of(
        settings,
        database,
        registry,
        registry=HookedRegistry(registry_of(settings), at),
        ledger=HookedLedger(database, holder=uuid4().hex, lease_for=LEASE_FOR, at=at),
        commands=fake_commands(folder),
    )
    driving = retrainer.start(stop)
    topics, group = ["retraining.queue"], "retrainer"
    process._run(settings, StreamMetrics(registry), retrainer.keeper, topics=topics, group=group, stop=stop)
    driving.join(30)
