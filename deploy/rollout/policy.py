"""What a candidate must show, and what it must not do."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from deploy.rollout.state import RolloutStage
from detectors.transcript import Frozen
from detectors.verdict import Probability


class Minimum(Frozen):
    """What a stage takes at least. `events`: of the candidate."""

    events: int = Field(ge=1)
    time: timedelta = Field(ge=timedelta(0))


class Margin(Frozen):
    """How much worse than the stable version is no harm: up to `times` as much, and `more` on top of that.

    A candidate is trained to flag what its predecessor missed: it may well flag some more.
    """

    times: float = Field(ge=1.0)
    more: float = Field(ge=0.0, lt=1.0)


class Policy(Frozen):
    """Rates are shares of conversations, see `deploy.rollout.comparison`.

    `alpha`: how often, over the whole stage and everything that is watched, a candidate that does no harm may be rolled
    back for harm. `doubt`: how often a candidate at the margin may be cleared. What is not clear by `patience` times
    the minimum of events, or by the end of `stage_limit`, is decided by what was seen, without a test.
    """

    shadow: Minimum = Minimum(events=500, time=timedelta(minutes=60))
    canary: Minimum = Minimum(events=500, time=timedelta(minutes=240))
    canary_share: float = Field(default=0.1, gt=0, le=1)
    stage_limit: timedelta = Field(default=timedelta(hours=168), gt=timedelta(0))
    patience: float = Field(default=10.0, ge=1.0)
    alpha: float = Field(default=0.01, gt=0, lt=1)
    doubt: float = Field(default=0.05, gt=0, lt=1)

    flagged: Margin = Margin(times=1.5, more=0.005)
    incomplete: Margin = Margin(times=1.5, more=0.01)
    quiet_times: float = Field(default=3.0, gt=1.0, description="flags less than one in so many of the stable one's")
    quiet_more: Probability = Field(default=0.002, description="and so much less than that")
    disagreement: Probability = Field(default=0.1, description="share that the two judge differently, in shadow")
    missed: Probability = Field(default=0.1, description="share of what people confirmed that it does not flag")
    slower_times: float = Field(default=1.5, gt=1.0, description="mean seconds of an event")
    events_per_batch: float = Field(default=8.0, ge=1.0, description="events that share a time and count as one")
    less_precise: Probability = Field(default=0.1, description="precision that may be lost")

    @model_validator(mode="after")
    def _may_differ(self) -> Policy:
        if self.disagreement == 0 or self.missed == 0:
            raise ValueError("disagreement and missed are more than 0: detectors that never differ are the same one")
        return self

    def minimum(self, stage: RolloutStage) -> Minimum:
        """Of a stage that has a candidate."""
        return self.shadow if stage is RolloutStage.SHADOW else self.canary
