"""What the rules keep in memory: for each agent of ordinary traffic, and with every limit reached.

The latter is worked out: each rule is filled to the brim of 1/n of its subjects and of 2/n, and the difference counts.
Ids are 36 characters long.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from clean_traffic import START, traffic

from alerting.burn_rate import BurnRate
from alerting.case_alerts import CaseFlagged
from alerting.correlator import Correlator
from alerting.drift import Drift
from alerting.finding import Rule
from alerting.goal_drift import GoalDriftTrend
from alerting.inconsistency import InconsistentAnswers
from alerting.lifecycle import Lifecycle
from alerting.reward_divergence import RewardDivergence
from alerting.slow_burn import SlowBurnConversation, SpreadThin
from detectors.observation import Reward
from detectors.transcript import Agent, Model
from detectors.verdict import Verdict


@dataclass(frozen=True)
class Full:
    """A rule for `subjects` subjects, which `events` fill; by default there are `all` of them."""

    make: Callable[[int], Rule]
    all: int
    events: Callable[[int], Iterator[tuple[datetime, dict[str, Any]]]]
    subjects: int = 20


def _id(*parts: object) -> str:
    return str(UUID(int=abs(hash(parts)) % 2**128))


def _each(
    inner: int, of: Callable[[int, int], dict[str, Any]], span: timedelta = timedelta(hours=6)
) -> Callable[[int], Iterator[tuple[datetime, dict[str, Any]]]]:
    """`inner` events for each subject, spread over `span`."""
    return lambda subjects: (
        (START + span * n / inner, of(subject, n)) for n in range(inner) for subject in range(subjects)
    )


def _agent(subject: int, number: int) -> dict[str, Any]:
    return {"agent": _id("a", subject), "conversation_id": _id("c", subject, number)}


def _later(number: int, first: int) -> float:
    """Little at first, so that much is more than usual."""
    return 0.1 if number < first else 0.9


FULL = {
    "BurnRate": Full(
        lambda n: BurnRate(budget_share=0.01, tenants=n, agents=n, tools=n),
        2_000,  # of each kind: 1,000, 3,000 and 2,000 are as many
        _each(80, lambda s, n: {"tenant_id": _id("t", s), "tools": (f"tool-{s % 50}",), **_agent(s, n)}),
    ),
    "SlowBurnConversation": Full(
        lambda n: SlowBurnConversation(most=n, warm_up=1, usual_share=0.1),
        15_000,
        _each(12, lambda s, n: {"conversation_id": _id("c", s), "message": f"m{n}", "misalignment": _later(n, 4)}),
        subjects=200,
    ),
    "SpreadThin": Full(
        lambda n: SpreadThin(most=n, warm_up=1),
        2_000,
        _each(320, lambda s, n: {"misalignment": _later(n, 160), **_agent(s, n)}),
    ),
    "CaseFlagged": Full(
        lambda n: CaseFlagged(most=n, per_hour=10**9, limit=0),
        5_000,
        _each(1, lambda s, n: {"conversation_id": _id("c", s, n), "flagged": ("sabotage",)}),
        subjects=200,
    ),
    "InconsistentAnswers": Full(
        lambda n: InconsistentAnswers(most=n),
        2_000,
        _each(220, lambda s, n: {"prompt": f"{s:08x}" * 64, **_agent(0, s * 1000 + n)}),
    ),
    "RewardDivergence": Full(
        lambda n: RewardDivergence(most=n),
        2_000,
        _each(12, lambda s, n: {"version": f"v{n}", "rewards": (Reward(value=n),), **_agent(s, n)}),
    ),
    "GoalDriftTrend": Full(
        lambda n: GoalDriftTrend(most=n), 3_000, _each(108, _agent, span=timedelta(hours=27)), subjects=10
    ),
    "Drift": Full(
        lambda n: Drift(most=n, conversations=500 * n),
        100,
        _each(999, lambda s, n: {"version": f"v{s}", "conversation_id": _id("c", s, n)}),
        subjects=3,
    ),
}


def _verdict(some: Verdict, at: datetime, changes: dict[str, Any]) -> Verdict:
    assert some.observed is not None
    changes = dict(changes)
    observed = some.observed.model_copy(
        update={
            "agent": Agent(name=changes.pop("agent", "agent")),
            "model": Model(version=changes.pop("version", "v")),
            "prompt": changes.pop("prompt", some.observed.prompt),
            "tools": changes.pop("tools", ()),
            "rewards": changes.pop("rewards", ()),
        }
    )
    evidence = some.evidence[0].model_copy(update={"message_id": changes.pop("message", "m")})
    update = {"flagged": ("deception",), "observed": observed, "evidence": (evidence,), "misalignment": 0.9, **changes}
    return some.model_copy(update={"occurred_at": at, "decided_at": at, **update})


def _bytes(full: Full, subjects: int, some: Verdict) -> int:
    rule = full.make(subjects)
    gc.collect()
    tracemalloc.start()
    for at, changes in full.events(subjects):
        rule.observe(_verdict(some, at, changes), at)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used


def at_limits() -> dict[str, float]:
    """Megabytes of each rule with all its limits reached."""
    some = next(iter(traffic(1, days=1, per_minute=10)))
    found = {}
    for name, full in FULL.items():
        once, twice = (_bytes(full, times * full.subjects, some) for times in (1, 2))
        found[name] = (twice - once) / full.subjects * full.all / 1e6
    return found


def per_agent(rules: Callable[[], list[Rule]]) -> float:
    """Bytes for each further agent, all rules together, with five conversations of 1 to 40 events.

    Prompts are at their limit before: they belong to the traffic, not to an agent.
    """
    once, twice = (_used(rules(), agents) for agents in (100, 200))
    return (twice - once) / 100


def _used(rules: list[Rule], agents: int) -> int:
    made = Correlator(rules, Lifecycle())
    some = list(islice(traffic(2, days=99, per_minute=2000, agents=agents), int(agents * 5 * 20.5)))
    gc.collect()
    tracemalloc.start()
    for verdict in some:
        made.take(verdict, verdict.occurred_at)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used
