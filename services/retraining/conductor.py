"""The loop that drives retraining: one run at a time, whoever dies, stage by stage to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event
from typing import Final
from uuid import UUID, uuid4

from detectors.errors import DetectorsError
from retrain.triggers import Limits, Start, decide
from services.errors import ServicesError, TransientError
from services.logs import get_logger
from services.retraining.child import Watch
from services.retraining.erasing import Erasing
from services.retraining.errors import Interrupted, NotYet, StageFailed
from services.retraining.ledger import Ledger
from services.retraining.reporting import Reporting
from services.retraining.run import Mode, Outcome, Request, Run, Stage
from services.retraining.situation import situation
from services.retraining.stages import Stages
from services.store.database import Database

_TELL_EVERY: Final = timedelta(seconds=1)
_FIRST_NUMBER: Final = 0  # the database gives the real one


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a stage is tried, how long it may take, and how long to wait where there is nothing to do."""

    attempts: int
    stage: timedelta
    poll: timedelta


class Conductor:
    """Any number may run: one works, and another takes over where that one dies."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        stages: Stages,
        erasing: Erasing,
        reporting: Reporting,
        *,
        limits: Limits,
        mode: Mode,
        patience: Patience,
        clock: Callable[[], datetime],
        new_id: Callable[[], UUID] = uuid4,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._stages = stages
        self._erasing = erasing
        self._reporting = reporting
        self._limits = limits
        self._mode: Mode = mode
        self._patience = patience
        self._clock = clock
        self._new_id = new_id
        self._log = get_logger("retrainer")
        self._cleared = False

    def run(self, stop: Event) -> None:
        """Until `stop`. Whatever goes wrong is tried again; it counts against a stage where it is the stage's fault."""
        while not stop.is_set():
            try:
                busy = self.step(stop)
            except Interrupted:
                busy = False
            except (ServicesError, DetectorsError) as error:
                self._log.warning("retraining waits", reason=str(error))
                busy = False
            except Exception as error:  # may quote what it was given
                self._log.error("retraining failed", reason=type(error).__name__)
                busy = False
            if not busy:
                stop.wait(self._patience.poll.total_seconds())
        try:
            self._ledger.leave()
        except TransientError:
            self._log.info("the database is away; the lease runs out by itself")

    def step(self, stop: Event) -> bool:
        """One stage of the run under way, or the start of a run; whether anything was done. Raises `ServicesError`."""
        if not self._ledger.hold(self._clock()):
            return False
        if not self._cleared:
            self._stages.workshop.clear()
            self._cleared = True
        self._erasing.sweep()
        run = self._ledger.unfinished() or self._opened()
        return run is not None and self._work(run, stop)

    def _opened(self) -> Run | None:
        """A run that starts now."""
        now = self._clock()
        rollout = self._stages.rollouts.current(now)
        with self._database.read() as tx:
            known, request = situation(tx, rollout, now)
        self._reporting.waiting(known)
        decision = decide(known, self._limits, now)
        if not isinstance(decision, Start):
            return None
        opened = self._ledger.open(self._new_run(decision, request, rollout.stable, now), now)
        if opened is not None:
            self._stages.workshop.tidy(opened)
            self._reporting.started(opened)
        return opened

    def _new_run(self, start: Start, request: Request | None, champion: str, now: datetime) -> Run:
        return Run(
            run_id=self._new_id(),
            number=_FIRST_NUMBER,
            trigger=start.trigger,
            reason=start.reason,
            requested_by=request.requested_by if request else None,
            mode=(request.mode if request else None) or self._mode,
            stage=Stage.ASSEMBLING,
            champion=champion,
            started_at=now,
            stage_began_at=now,
        )

    def _work(self, run: Run, stop: Event) -> bool:
        """One attempt at the run's stage; whether it came to its end."""
        if run.attempts >= self._patience.attempts:
            return self._keep(run, self._given_up(run))
        begun = self._ledger.begin(run, self._clock())
        try:
            with self._reporting.timed(begun):
                after = self._stages.work(begun, self._watch(begun, stop))
        except Interrupted:
            self._ledger.keep(replace(run, progress=0.0), self._clock())
            raise
        except (NotYet, TransientError) as error:
            return self._keep(run, replace(run, said=str(error)), done=False)
        except (StageFailed, ServicesError, DetectorsError, OSError) as error:
            reason = type(error).__name__ if isinstance(error, OSError) else str(error)
            self._log.warning("a stage failed", run=run.number, stage=run.stage.value, reason=reason)
            return self._keep(run, replace(begun, said=reason), done=False)
        return self._keep(run, after)

    def _keep(self, before: Run, after: Run, *, done: bool = True) -> bool:
        made_of = frozenset[UUID]() if before.stage is Stage.PUBLISHING or not done else self._erasing.labels_in(after)
        if not self._ledger.keep(after, self._clock(), made_of=made_of):
            self._erasing.sweep(again=True)  # it holds what was erased meanwhile: it is made anew
            return False
        self._reporting.now(before, after)
        return done

    def _given_up(self, run: Run) -> Run:
        said = f"{run.stage.value} failed {run.attempts} times: {run.said or 'the process was killed'}"
        return run.ended(Outcome.FAILED, said, self._clock())

    def _watch(self, run: Run, stop: Event) -> Watch:
        pulse = _Pulse(self._ledger, self._reporting, run, stop, self._clock)
        return Watch(limit=self._patience.stage, beat=pulse.beat, told=pulse.told)


class _Pulse:
    """Keeps the lease, and says how far a stage is, about once a second while a child works."""

    def __init__(
        self, ledger: Ledger, reporting: Reporting, run: Run, stop: Event, clock: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._reporting = reporting
        self._run = run
        self._stop = stop
        self._clock = clock
        self._told = (run.progress, "")
        self._due = time.monotonic()

    def told(self, progress: float, said: str) -> None:
        self._told = (progress, said)

    def beat(self) -> bool:
        """Whether to go on. A database that is away stops nobody: nothing is kept without it."""
        if self._stop.is_set():
            return False
        if time.monotonic() < self._due:
            return True
        self._due = time.monotonic() + _TELL_EVERY.total_seconds()
        progress, said = self._told
        self._reporting.progress(progress)
        try:
            return self._ledger.told(self._run, progress, said, self._clock())
        except TransientError:
            return True
