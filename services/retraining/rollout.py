"""Where a candidate goes when it has passed: into the registry, and on its way. And where champions come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from pydantic import JsonValue

from deploy.rollout import steps
from deploy.rollout.state import SYSTEM, Rollout, first
from services.retraining.errors import NotYet
from services.retraining.run import Outcome, Run, Stage
from services.rollout.errors import MovedMeanwhile
from services.rollout.revisions import registry_errors

_HISTORY: Final = 200


class Registry(Protocol):
    """What of `deploy.registry` is needed here."""

    def publish(self, folder: Path, facts: Mapping[str, JsonValue]) -> str: ...
    def fetch(self, version: str, into: Path) -> Path: ...
    def rollout(self) -> Rollout | None: ...
    def rollout_history(self, limit: int) -> Sequence[Rollout]: ...
    def move(self, rollout: Rollout) -> None: ...


class Rollouts:
    """Every method raises what `services.rollout.revisions.registry_errors` says; the registry may be away."""

    def __init__(self, registry: Registry, *, bundle: Path, cache: Path) -> None:
        """`bundle`: what an installation starts with; `cache`: where fetched bundles are kept."""
        self._registry = registry
        self._bundle = bundle
        self._cache = cache

    def current(self, now: datetime) -> Rollout:
        """The rollout as it stands. Where there is none yet, the configured bundle becomes the first stable version."""
        while True:
            with registry_errors():
                found = self._registry.rollout()
            if found is not None:
                return found
            with registry_errors():
                version = self._registry.publish(self._bundle, {"first": True})
            self._moved(first(version, now))

    def champion(self, run: Run) -> Path:
        """The folder of the run's champion, verified."""
        if run.champion is None:
            raise ValueError("a run is opened with its champion")
        with registry_errors():
            return self._registry.fetch(run.champion, self._cache)

    def publish(self, run: Run, candidate: Path, now: Callable[[], datetime]) -> Run:
        """The run after its candidate was published and is on its way; done again, that is the same way.

        Raises `NotYet` as long as another candidate is on its way: what becomes of that one decides what this one has
        to be better than. Where that is another champion than before, the run goes back to its gate.
        """
        if run.candidate is None:
            raise ValueError("a run knows its candidate before it publishes it")
        while True:
            rollout = self.current(now())
            if (done := self._done(run, run.candidate, rollout, now())) is not None:
                return done
            if rollout.candidate is not None:
                raise NotYet(f"{rollout.candidate} is on its way: {run.candidate} waits until it has come to its end")
            if rollout.stable != run.champion:
                return run.at_stage(Stage.GATING, now(), champion=rollout.stable, report=None)
            with registry_errors():
                self._registry.publish(candidate, facts_of(run))
            reason = f"run {run.number}: {_plain(run.reason)}"[: steps.MAX_REASON_CHARS]
            if self._moved(steps.start(rollout, run.candidate, actor=SYSTEM, reason=reason, at=now())):
                return _published(run, run.candidate, now())

    def _done(self, run: Run, version: str, rollout: Rollout, now: datetime) -> Run | None:
        """The end of a run whose candidate was on its way before: by this run, which was killed since, or by another.

        A version that was rolled back before is not tried again: it is the same to the last bit.
        """
        with registry_errors():
            history = self._registry.rollout_history(_HISTORY)
        tried = [each.at for each in history if each.candidate == version]
        if tried and max(tried) >= run.started_at:
            return _published(run, version, now)
        if rollout.stable == version:
            return run.ended(Outcome.NOTHING_NEW, f"{version} is stable already", now)
        return run.ended(Outcome.NOTHING_NEW, f"{version} was a candidate before", now) if tried else None

    def _moved(self, rollout: Rollout) -> bool:
        """False where somebody else was faster: it has to be looked at again."""
        try:
            with registry_errors():
                self._registry.move(rollout)
        except MovedMeanwhile:
            return False
        return True


def _published(run: Run, version: str, now: datetime) -> Run:
    said = f"{version} is on its way, after {run.champion}"
    return replace(run.ended(Outcome.PUBLISHED, said, now), progress=1.0)


def _plain(text: str) -> str:
    """What somebody wrote, in one line that can be printed."""
    return "".join(character if character.isprintable() else " " for character in text)


def facts_of(run: Run) -> dict[str, JsonValue]:
    """What the registry keeps with a version: where it comes from, and that it passed."""
    report = run.report or {}
    gate: dict[str, JsonValue] = {name: report.get(name) for name in ("passed", "champion", "rows")}
    return {
        "run": run.number,
        "run_id": str(run.run_id),
        "trigger": run.trigger,
        "mode": run.mode,
        "parent": run.champion,
        "dataset": run.dataset,
        "gate": gate,
    }
