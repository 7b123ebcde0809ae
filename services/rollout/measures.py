"""What the metrics say of a rollout: see `services.loop_metrics.RolloutMetrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from deploy.rollout.comparison import Comparison, Tally, share
from deploy.rollout.state import SYSTEM, Rollout, RolloutStage
from detectors.verdict import Arm
from services.loop_metrics import RolloutMetrics

_ROLES: Final = ("stable", "candidate", "previous")


class Measures:
    """Says how things stand, and forgets how they stood before."""

    def __init__(self, metrics: RolloutMetrics) -> None:
        self._metrics = metrics

    def stands(self, rollout: Rollout) -> None:
        metrics = self._metrics
        metrics.revision.set(rollout.revision)
        for stage in RolloutStage:
            metrics.stage.labels(stage.value).set(stage is rollout.stage)
        metrics.version.clear()
        for role in _ROLES:
            if version := getattr(rollout, role):
                metrics.version.labels(role, version).set(1)

    def compared(self, rollout: Rollout, comparison: Comparison, p_values: Mapping[str, float]) -> None:
        self._forget_comparison()
        arm = Arm.CANARY if rollout.stage is RolloutStage.CANARY else Arm.SHADOW
        for name, tally in ((Arm.STABLE.value, comparison.stable), (arm.value, comparison.candidate)):
            self._metrics.events.labels(name).set(tally.events)
            for what, value in _compared(tally).items():
                if value is not None:
                    self._metrics.compared.labels(name, what).set(value)
        if comparison.paired and (agreed := share(comparison.paired.flagged.agreed, comparison.paired.flagged.judged)):
            self._metrics.compared.labels(arm.value, "agreed").set(agreed)
        for what, value in p_values.items():
            self._metrics.p_value.labels(what).set(value)

    def nothing_compared(self) -> None:
        """No candidate is on its way."""
        self._forget_comparison()

    def nothing(self) -> None:
        """Another process decides: what this one knew is old."""
        self._forget_comparison()
        self._metrics.version.clear()
        for stage in RolloutStage:
            self._metrics.stage.labels(stage.value).set(0)
        self._metrics.revision.set(0)

    def steps(self, taken: Iterable[Rollout]) -> None:
        for each in taken:
            self._metrics.steps.labels(each.step.value, "plumbline" if each.actor == SYSTEM else "person").inc()

    def _forget_comparison(self) -> None:
        for gauge in (self._metrics.events, self._metrics.compared, self._metrics.p_value):
            gauge.clear()


def _compared(tally: Tally) -> dict[str, float | None]:
    return {
        "flagged": tally.flagged_share,
        "incomplete": tally.incomplete_share,
        "confirmed": tally.precision,
        "seconds": tally.seconds_per_event,
    }
