"""What is said of runs in metrics and in the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from retrain.triggers import Situation
from services.logs import get_logger
from services.loop_metrics import RUN_STAGES, RetrainerMetrics
from services.retraining.run import Run, Stage


class Reporting:
    """A conductor's words."""

    def __init__(self, metrics: RetrainerMetrics) -> None:
        self._metrics = metrics
        self._log = get_logger("retrainer")

    def waiting(self, known: Situation) -> None:
        """No run is under way."""
        self._stage(None)
        self._metrics.new_labels.labels("confirmed").set(sum(known.confirmed.values()))
        self._metrics.new_labels.labels("dismissed").set(known.dismissed)

    def started(self, run: Run) -> None:
        facts = {"run": run.number, "trigger": run.trigger, "mode": run.mode, "champion": run.champion}
        self._log.info("a run starts", **facts, new_labels=run.new_labels)
        for disposition in ("confirmed", "dismissed"):
            self._metrics.new_labels.labels(disposition).set(0)

    def progress(self, share: float) -> None:
        self._metrics.progress.set(share)

    @contextmanager
    def timed(self, run: Run) -> Iterator[None]:
        """An attempt at the run's stage, however it ends."""
        self._stage(run.stage)
        self._metrics.progress.set(0)
        began = time.monotonic()
        try:
            yield
        finally:
            self._metrics.stage_seconds.labels(run.stage.value).observe(time.monotonic() - began)

    def now(self, before: Run, after: Run) -> None:
        """A stage has left the run like this."""
        if after.report and after.report is not before.report:
            self._dataset(after.report.get("assembly") or {})
            self._slices(after.report.get("slices") or [], after.report.get("refusals") or [])
        if after.outcome is not None:
            self._stage(None)
            self._metrics.runs.labels(after.trigger, after.outcome.value).inc()
            self._log.info("a run ended", run=after.number, outcome=after.outcome.value, said=after.said)
        elif after.stage is not before.stage:
            self._log.info("a stage ended", run=after.number, stage=before.stage.value, next=after.stage.value)

    def _stage(self, at: Stage | None) -> None:
        for name in RUN_STAGES:
            self._metrics.stage.labels(name).set(at is not None and at.value == name)

    def _dataset(self, assembly: Mapping[str, Any]) -> None:
        for key, gauge in (("examples", self._metrics.examples), ("held_back", self._metrics.held_back)):
            for name, count in _counts(assembly.get(key)).items():
                gauge.labels(name).set(count)

    def _slices(self, slices: list[Mapping[str, Any]], refusals: list[Mapping[str, Any]]) -> None:
        if not slices:
            return
        refused = {each.get("slice") for each in refusals}
        outcomes = Counter(_outcome(each, refused) for each in slices)
        for outcome in ("passed", "failed", "too_small"):
            self._metrics.slices.labels(outcome).set(outcomes[outcome])


def _outcome(slice_report: Mapping[str, Any], refused: set[Any]) -> str:
    if slice_report.get("status") == "too_small":
        return "too_small"
    return "failed" if slice_report.get("slice") in refused else "passed"


def _counts(value: object) -> dict[str, float]:
    """Numbers by name."""
    if not isinstance(value, dict):
        return {}
    return {str(name): float(count) for name, count in value.items() if isinstance(count, int | float)}
