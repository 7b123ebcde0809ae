"""Memory of every rule is bounded, whatever comes: all that is reachable is counted, not what the rules say of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import timedelta
from types import FunctionType

import numpy as np
import pytest

from alerting.burn_rate import BurnRate
from alerting.case_alerts import CaseFlagged
from alerting.drift import Drift
from alerting.finding import Rule
from alerting.goal_drift import GoalDriftTrend
from alerting.inconsistency import InconsistentAnswers
from alerting.reward_divergence import RewardDivergence
from alerting.slow_burn import SlowBurnConversation, SpreadThin
from detectors.verdict import Verdict

Make = Callable[..., Verdict]

RULES: list[Callable[[], Rule]] = [
    lambda: BurnRate(budget_share=0.01, tenants=5, agents=5, tools=5, tools_per_tenant=3),
    lambda: SlowBurnConversation(most=5, warm_up=50),
    lambda: SpreadThin(most=5, conversations=10, warm_up=50),
    lambda: CaseFlagged(most=5),
    lambda: InconsistentAnswers(most=5, conversations=10),
    lambda: RewardDivergence(most=5),
    lambda: GoalDriftTrend(most=5),
    lambda: Drift(most=3, reference=60, recent=50, conversations=50),
]


def entries(thing: object, known: set[int]) -> int:
    """Items in all containers that can be reached from `thing`, text and numbers not counted."""
    if id(thing) in known or isinstance(thing, str | bytes | int | float | FunctionType | type):
        return 0
    known.add(id(thing))
    if isinstance(thing, np.ndarray):
        return int(thing.size)
    if isinstance(thing, Mapping):
        return len(thing) + sum(entries(key, known) + entries(value, known) for key, value in thing.items())
    if isinstance(thing, list | tuple | deque | Set):
        return len(thing) + sum(entries(each, known) for each in thing)
    if is_dataclass(thing):
        return sum(entries(getattr(thing, each.name), known) for each in fields(thing))
    slots = (getattr(thing, name, None) for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()))
    return entries(vars(thing), known) if hasattr(thing, "__dict__") else sum(entries(each, known) for each in slots)


def hostile(make: Make, number: int, **same: str) -> Verdict:
    """Everything about it is new, except for what is the `same`; all of them happen at once."""
    rng = np.random.default_rng(number)
    return make(
        **{
            "agent": f"a{number}",
            "tenant": f"t{number}",
            "version": f"v{number}",
            "conversation": f"c{number}",
            "prompt": " ".join(f"w{n}" for n in rng.integers(0, 1000, 12)),
            "evidence": f"m{number}",
        }
        | same,
        flagged=("coercion",),
        misalignment=0.95 if number > 100 else 0.1,
        scores={"goal_drift": 0.1},
        tools=(f"tool-{number}", f"other-tool-{number}"),
        task=f"task {number}",
        actions=f"action {number}",
        reward=float(number % 7),
    )


SAMES: list[dict[str, str]] = [
    {},
    {"tenant": "t"},
    {"tenant": "t", "agent": "a"},
    {"tenant": "t", "agent": "a", "prompt": "one two three four five six seven eight nine ten eleven"},
    {"tenant": "t", "agent": "a", "version": "v"},
    {"tenant": "t", "agent": "a", "version": "v", "conversation": "c"},
]


@pytest.mark.parametrize("same", SAMES, ids=lambda same: "+".join(same) or "nothing")
@pytest.mark.parametrize("make_rule", RULES, ids=lambda make: type(make()).__name__)
def test_memory_is_bounded(make_verdict: Make, make_rule: Callable[[], Rule], same: dict[str, str]) -> None:
    rule, sizes = make_rule(), []
    count = 2700 if isinstance(rule, Drift) else 900  # KSWIN's window takes 1,280 values to fill
    for number in range(count):
        verdict = hostile(make_verdict, number, **same)
        rule.observe(verdict, verdict.occurred_at)
        if number in (count // 2, count - 1):
            list(rule.findings(verdict.occurred_at + timedelta(minutes=1)))
            sizes.append(entries(rule, set()))
    assert sizes[1] <= 1.05 * sizes[0] + 60
    assert sizes[1] <= 4000


@pytest.mark.parametrize("make_rule", RULES, ids=lambda make: type(make()).__name__)
def test_what_is_dropped_is_counted(make_verdict: Make, make_rule: Callable[[], Rule]) -> None:
    rule = make_rule()
    for number in range(200):
        verdict = hostile(make_verdict, number)
        rule.observe(verdict, verdict.occurred_at)
    assert all(count > 0 for count in rule.tracked().values())
    assert sum(rule.evicted().values()) > 90
