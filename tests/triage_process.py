"""The triage service in a process of its own, to be killed at one step of a request:
`python -m tests.triage_process STEP FOLDER`.

It kills itself once, and leaves a file named after the step in FOLDER; started again, it serves on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from services import triage_process
from services.logs import configure_logs
from services.process import stop_on_signals
from services.settings import load_settings
from services.store import Database, Transaction, open_engine
from services.triage.desk import Desk, Once

STEPS = ("received", "done but not committed", "committed but not answered")


def main() -> None:
    step, folder = sys.argv[1], Path(sys.argv[2])
    settings = load_settings()
    configure_logs(settings)

    def at(reached: str) -> None:
        if reached == step and not (folder / step).exists():
            (folder / step).touch()
            os.kill(os.getpid(), signal.SIGKILL)

    class MortalDesk(Desk):
        def run(
            self, action: Callable[[Transaction], dict[str, Any]], now: datetime, once: Once | None = None
        ) -> dict[str, Any]:
            def worked(tx: Transaction) -> dict[str, Any]:
                given = action(tx)
                at(STEPS[1])
                return given

            at(STEPS[0])
            given = super().run(worked, now, once)
            at(STEPS[2])
            return given

    triage_process.Desk = MortalDesk  # type: ignore[misc]
    database = Database(open_engine(settings.database_url.get_secret_value()))
    triage_process.serve(settings, database, CollectorRegistry(), stop_on_signals())


if __name__ == "__main__":
    main()
