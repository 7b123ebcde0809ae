"""The loop that drives retraining: one run at a time, whoever dies, stage by stage to its end."""

from __future__ import annotations

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
from services.retraining.pulse import Grip, Pulse
from services.retraining.reporting import Reporting
from services.retraining.run import Mode, Outcome, Request, Run, Stage
from services.retraining.situation import situation
from services.retraining.stages import Stages
from services.store.database import Database

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
        self._settled = False

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
            self._settled = False
            return False
        self._settle(stop)
        run = self._ledger.unfinished() or self._opened()
        return run is not None and self._work(run, stop)

    def _settle(self, stop: Event) -> None:
        """What was erased goes from disk. Whoever drove before may have been killed in the middle of something."""
        grip = Grip(stop, lambda: self._ledger.hold(self._clock()))
        if not self._settled:
            self._stages.workshop.clear()
        self._erasing.sweep(again=not self._settled, beat=grip.beat)
        self._settled = True

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
            self._settled = False  # it holds what was erased meanwhile: that goes, then it is made anew
            return True
        self._reporting.now(before, after)
        return done

    def _given_up(self, run: Run) -> Run:
        said = f"{run.stage.value} failed {run.attempts} times: {run.said or 'the process was killed'}"
        return run.ended(Outcome.FAILED, said, self._clock())

    def _watch(self, run: Run, stop: Event) -> Watch:
        pulse = Pulse(self._ledger, self._reporting, run, self._clock)
        return Watch(limit=self._patience.stage, beat=Grip(stop, pulse.hold).beat, told=pulse.told)
