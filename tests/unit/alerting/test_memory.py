"""Memory of every rule is bounded, whatever comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import numpy as np
import pytest

from alerting.burn_rate import BurnRate
from alerting.case_alerts import CaseFlagged
from alerting.finding import Finding, Rule
from alerting.goal_drift import GoalDriftTrend
from alerting.inconsistency import InconsistentAnswers
from alerting.reward_divergence import RewardDivergence
from alerting.slow_burn import SlowBurnConversation, SpreadThin
from detectors.verdict import Verdict

Make = Callable[..., Verdict]
Show = Callable[[Rule, Iterable[Verdict]], None]
Met = Callable[[Rule, datetime], dict[str, Finding]]
HIGH = ("deception", "misalignment")


@pytest.mark.parametrize(
    "rule",
    [
        BurnRate(budget_share=0.01, tenants=10, agents=10, tools=10),
        SlowBurnConversation(most=10),
        SpreadThin(most=10),
        CaseFlagged(most=10),
        InconsistentAnswers(most=10),
        RewardDivergence(most=10),
        GoalDriftTrend(most=10),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_memory_is_bounded(make_verdict: Make, start: datetime, rule: Rule) -> None:
    rng = np.random.default_rng(8)
    for number in range(600):
        text = " ".join(f"w{n}" for n in rng.integers(0, 1000, 12))
        verdict = make_verdict(
            number / 100,
            agent=f"a{number}",
            tenant=f"t{number}",
            flagged=("coercion",),
            misalignment=0.95,
            scores={"goal_drift": 0.1},
            prompt=text,
            reward=1.0,
        )
        rule.observe(verdict, verdict.occurred_at)
    assert all(entries <= 120 for entries in rule.tracked().values())
    assert all(dropped > 0 for dropped in rule.evicted().values())
    list(rule.findings(start + timedelta(minutes=10)))
