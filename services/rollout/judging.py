"""`deploy.rollout`'s judgement under one policy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from deploy.rollout.comparison import Comparison
from deploy.rollout.deciding import decide
from deploy.rollout.policy import Policy
from deploy.rollout.state import Rollout
from deploy.rollout.watching import findings


class Judging:
    """See `services.rollout.controller.Judge`."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def decide(self, rollout: Rollout, comparison: Comparison, now: datetime) -> Rollout | None:
        return decide(rollout, comparison, self._policy, now)

    def p_values(self, rollout: Rollout, comparison: Comparison) -> Mapping[str, float]:
        return {each.what.value: each.harm for each in findings(rollout, comparison, self._policy)}
