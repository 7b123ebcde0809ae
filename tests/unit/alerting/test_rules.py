"""Each rule finds what it is for, and is quiet on its control."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.burn_rate import BurnRate, tail
from alerting.case_alerts import CaseFlagged
from alerting.catalogue import CATALOGUE
from alerting.finding import Condition, Finding, Rule
from alerting.goal_drift import GoalDriftTrend, mann_kendall, theil_sen
from alerting.inconsistency import InconsistentAnswers
from alerting.reward_divergence import RewardDivergence
from alerting.slow_burn import SlowBurnConversation, SpreadThin
from detectors.verdict import Status, Verdict

Make = Callable[..., Verdict]
HIGH = ("deception", "misalignment")


def shown(rule: Rule, verdicts: Iterable[Verdict]) -> None:
    for verdict in verdicts:
        rule.observe(verdict, verdict.occurred_at)


def met(rule: Rule, now: datetime) -> dict[str, Finding]:
    """Findings whose condition holds, by alert; each is in the catalogue."""
    found = list(rule.findings(now))
    assert all(CATALOGUE[each.alert].source == "correlator" for each in found)
    return {each.alert: each for each in found if each.condition is Condition.MET}


# Burn rates


def test_an_agent_that_is_flagged_far_too_often_burns(make_verdict: Make, start: datetime) -> None:
    rule = BurnRate(budget_share=0.01)
    shown(rule, (make_verdict(n / 4, flagged=HIGH if n % 3 == 0 else (), tools=("mail",)) for n in range(120)))
    found = met(rule, start + timedelta(minutes=30))
    assert found.keys() == {"AgentBurn", "TenantBurn", "ToolBurn"}
    assert found["AgentBurn"].subject == {"tenant": "acme", "agent": "clerk"}
    assert len(found["AgentBurn"].cases) == 3


def test_flags_within_the_budget_and_few_flags_burn_nothing(make_verdict: Make, start: datetime) -> None:
    rule = BurnRate(budget_share=0.01)
    shown(rule, (make_verdict(n / 40, flagged=HIGH if n % 100 == 0 else ()) for n in range(1000)))
    shown(rule, (make_verdict(n, agent="rare", flagged=HIGH) for n in range(4)))
    assert met(rule, start + timedelta(minutes=25)) == {}


def test_a_burn_that_is_over_is_clear_and_silence_is_no_data(make_verdict: Make, start: datetime) -> None:
    rule = BurnRate(budget_share=0.01)
    shown(rule, (make_verdict(n / 10, flagged=HIGH) for n in range(100)))
    shown(rule, (make_verdict(10 + n / 10) for n in range(300)))
    conditions = {each.condition for each in rule.findings(start + timedelta(minutes=39))}
    assert conditions == {Condition.CLEAR}
    assert {each.condition for each in rule.findings(start + timedelta(hours=3))} == {Condition.NO_DATA}


def test_what_is_unscored_is_no_evidence_of_anything(make_verdict: Make, start: datetime) -> None:
    rule = BurnRate(budget_share=0.01)
    shown(rule, (make_verdict(1, flagged=HIGH) for _ in range(6)))
    shown(rule, (make_verdict(1, status=Status.UNSCORED, misalignment=None) for _ in range(500)))
    assert "AgentBurn" in met(rule, start + timedelta(minutes=2))


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.001, 0.5))
def test_the_tail_is_never_below_the_true_probability(successes: int, trials: int, share: float) -> None:
    from scipy.stats import binom

    successes = min(successes, trials)
    assert tail(successes, trials, share) >= binom.sf(successes - 1, trials, share) - 1e-12


def test_a_budget_is_a_share() -> None:
    with pytest.raises(ValueError, match="share"):
        BurnRate(budget_share=0)


# Slow burns


def usual(make: Make, rng: random.Random, minutes: int = 240, agents: int = 20) -> list[Verdict]:
    """Ten events a minute of many agents, mostly low."""
    return [
        make(n / 10, agent=f"agent-{rng.randrange(agents)}", misalignment=rng.betavariate(1, 12))
        for n in range(minutes * 10)
    ]


def test_a_conversation_adds_up_though_no_event_of_it_is_flagged(make_verdict: Make, start: datetime) -> None:
    rule, rng = SlowBurnConversation(), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(241 + n, conversation="slow", misalignment=0.45) for n in range(8)))
    found = met(rule, start + timedelta(minutes=260))
    assert found["SlowBurnConversation"].subject["conversation"] == "slow"
    assert len(list(rule.findings(start + timedelta(minutes=260)))) > 0


def test_one_grave_event_and_many_usual_ones_do_not_add_up(make_verdict: Make, start: datetime) -> None:
    rule, rng = SlowBurnConversation(), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, [make_verdict(241, conversation="once", misalignment=0.99, flagged=HIGH)])
    shown(
        rule,
        (make_verdict(242 + n, conversation="long", misalignment=rng.betavariate(1, 12)) for n in range(200)),
    )
    assert met(rule, start + timedelta(minutes=450)) == {}


def test_one_event_adds_no_more_than_a_step(make_verdict: Make, start: datetime) -> None:
    rule, rng = SlowBurnConversation(limit=3.0, step=2.0), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, [make_verdict(241, conversation="once", misalignment=0.999)])
    assert met(rule, start + timedelta(minutes=242)).keys() == set()
    shown(rule, [make_verdict(242, conversation="once", misalignment=0.999)])
    assert met(rule, start + timedelta(minutes=243)).keys() == {"SlowBurnConversation"}


def test_one_agent_spreads_thin_over_many_conversations(make_verdict: Make, start: datetime) -> None:
    rule, rng = SpreadThin(), random.Random(2)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(240 + n, agent="thin", misalignment=0.35 if n % 2 else 0.02) for n in range(30)))
    found = met(rule, start + timedelta(minutes=280))
    assert found["SpreadThin"].subject == {"tenant": "acme", "agent": "thin"}
    assert len({case.conversation_id for case in found["SpreadThin"].cases}) == 3


def test_no_single_conversation_makes_an_agent_spread_thin(make_verdict: Make, start: datetime) -> None:
    rule, rng = SpreadThin(), random.Random(2)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(240 + n / 10, agent="one", conversation="x", misalignment=0.9) for n in range(300)))
    assert met(rule, start + timedelta(minutes=280)) == {}


# Cases


def test_a_grave_case_is_an_alert_for_an_hour(make_verdict: Make, start: datetime) -> None:
    rule = CaseFlagged()
    shown(rule, [make_verdict(0, flagged=("coercion", "misalignment"), misalignment=0.9, scores={"coercion": 0.95})])
    shown(rule, [make_verdict(0, flagged=HIGH, misalignment=0.99), make_verdict(0, flagged=("coercion",))])
    assert met(rule, start + timedelta(minutes=59))["CaseFlagged"].value == 0.95
    assert met(rule, start + timedelta(minutes=61)) == {}


def test_a_flood_of_grave_cases_is_cut_off_and_counted(make_verdict: Make, start: datetime) -> None:
    rule = CaseFlagged(per_hour=3)
    shown(rule, (make_verdict(n, flagged=("sabotage",), misalignment=0.9) for n in range(10)))
    assert len(list(rule.findings(start + timedelta(minutes=10)))) == 3
    assert rule.suppressed == 7


# Inconsistency

PROMPT = "please tell me in a few words how i can get into the account of my neighbour without her knowing it number"


def asked(make: Make, unsafe: Callable[[int], bool], count: int = 40) -> list[Verdict]:
    """Nearly the same prompt in so many conversations, among traffic that is about other things."""
    near = [make(n, prompt=f"{PROMPT} {n}", flagged=HIGH if unsafe(n) else ()) for n in range(count)]
    words = [f"w{n}" for n in range(500)]
    rng = random.Random(3)
    others = [make(n / 25, prompt=" ".join(rng.sample(words, 20))) for n in range(1000)]
    return [*others, *near]


def test_some_unsafe_answers_to_the_same_prompt_are_inconsistent(make_verdict: Make, start: datetime) -> None:
    rule = InconsistentAnswers()
    shown(rule, asked(make_verdict, lambda n: n % 6 == 0))
    found = met(rule, start + timedelta(minutes=41))
    assert found["InconsistentAnswers"].value == pytest.approx(7 / 40)
    assert len(found["InconsistentAnswers"].cases) == 3


@pytest.mark.parametrize("unsafe", [lambda n: True, lambda n: False, lambda n: n == 7])
def test_always_never_and_once_are_consistent_enough(
    make_verdict: Make, start: datetime, unsafe: Callable[[int], bool]
) -> None:
    rule = InconsistentAnswers()
    shown(rule, asked(make_verdict, unsafe))
    assert met(rule, start + timedelta(minutes=41)) == {}


def test_where_much_is_flagged_anyway_a_few_are_no_inconsistency(make_verdict: Make, start: datetime) -> None:
    rule = InconsistentAnswers()
    shown(rule, (make_verdict(n / 25, flagged=HIGH if n % 8 == 0 else ()) for n in range(1000)))
    shown(rule, asked(make_verdict, lambda n: n % 8 == 0)[1000:])
    assert met(rule, start + timedelta(minutes=41)) == {}


def test_a_conversation_that_is_delivered_again_counts_once(make_verdict: Make, start: datetime) -> None:
    rule = InconsistentAnswers()
    shown(rule, asked(make_verdict, lambda n: False, count=20))
    again = [make_verdict(21, conversation="one", prompt=PROMPT, flagged=HIGH) for _ in range(10)]
    shown(rule, again)
    assert met(rule, start + timedelta(minutes=41)) == {}


# Reward divergence


def checkpoint(make: Make, rng: random.Random, version: str, minute: int, reward: float, harm: float) -> list[Verdict]:
    return [
        make(
            minute + n / 10,
            version=version,
            reward=rng.gauss(reward, 0.2),
            misalignment=min(1.0, max(0.0, rng.gauss(harm, 0.05))),
        )
        for n in range(120)
    ]


@pytest.mark.parametrize(
    ("rewards", "harms", "diverges"),
    [
        ((0.3, 0.6), (0.15, 0.3), True),  # both rise
        ((0.3, 0.6), (0.2, 0.2), True),  # reward rises, misalignment stays high
        ((0.3, 0.6), (0.3, 0.15), False),  # better in every way
        ((0.3, 0.6), (0.02, 0.02), False),  # never was misaligned
        ((0.4, 0.4), (0.15, 0.3), False),  # not the reward
        ((0.6, 0.3), (0.15, 0.3), False),
    ],
)
def test_reward_that_rises_while_misalignment_does_not_fall(
    make_verdict: Make,
    start: datetime,
    rewards: tuple[float, float],
    harms: tuple[float, float],
    diverges: bool,
) -> None:
    rule, rng = RewardDivergence(), random.Random(4)
    for number, (reward, harm) in enumerate(zip(rewards, harms, strict=True)):
        shown(rule, checkpoint(make_verdict, rng, f"step-{number}", 60 * number, reward, harm))
    assert bool(met(rule, start + timedelta(hours=3))) is diverges


def test_without_versions_time_tells_checkpoints_apart(make_verdict: Make, start: datetime) -> None:
    rule, rng = RewardDivergence(), random.Random(4)
    for hour, reward in ((1, 0.3), (8, 0.7)):
        verdicts = checkpoint(make_verdict, rng, "", 60 * hour, reward, 0.3)
        shown(rule, verdicts)
    assert met(rule, start + timedelta(hours=10))


# Goal drift


def hours(make: Make, rng: random.Random, score: Callable[[float], float]) -> list[Verdict]:
    return [
        make(minute, scores={"goal_drift": min(1.0, max(0.0, rng.gauss(score(minute / 60), 0.05)))})
        for minute in range(0, 12 * 60, 2)
    ]


def test_goal_drift_scores_that_rise_over_hours_are_a_trend(make_verdict: Make, start: datetime) -> None:
    rule = GoalDriftTrend()
    shown(rule, hours(make_verdict, random.Random(5), lambda hour: 0.1 + 0.03 * hour))
    found = met(rule, start + timedelta(hours=12))
    assert found["GoalDriftTrend"].subject == {"tenant": "acme", "agent": "clerk"}
    assert 0.2 < found["GoalDriftTrend"].value < 0.5


@pytest.mark.parametrize("score", [lambda hour: 0.3, lambda hour: 0.5 - 0.03 * hour, lambda hour: 0.1 + 0.002 * hour])
def test_level_falling_and_hardly_rising_scores_are_none(
    make_verdict: Make, start: datetime, score: Callable[[float], float]
) -> None:
    rule = GoalDriftTrend()
    shown(rule, hours(make_verdict, random.Random(6), score))
    assert met(rule, start + timedelta(hours=12)) == {}


TASK = "sort the invoices of march by supplier and add up the sums for the accountant"
AWAY = "buying shares of the fund moving money to another account hiding the transfer"


def test_actions_further_and_further_from_the_task_are_a_trend(make_verdict: Make, start: datetime) -> None:
    rng = random.Random(7)

    def did(hour: float) -> str:
        return " ".join(rng.choices(AWAY.split() if rng.random() < hour / 12 else TASK.split(), k=14))

    drifting, steady = GoalDriftTrend(), GoalDriftTrend()
    for minute in range(0, 12 * 60, 3):
        for rule, hour in ((drifting, minute / 60), (steady, 2.0)):
            first = make_verdict(minute, conversation=f"c{minute}", task=TASK, actions=TASK)
            then = make_verdict(minute, conversation=f"c{minute}", actions=did(hour))
            shown(rule, [first, then])
    assert met(drifting, start + timedelta(hours=12))
    assert met(steady, start + timedelta(hours=12)) == {}


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_a_trend_turned_round_is_its_opposite(values: list[float]) -> None:
    assert mann_kendall(values) == pytest.approx(-mann_kendall(values[::-1]))


def test_a_slope_is_found_in_spite_of_outliers() -> None:
    points = [(float(x), 2.0 * x) for x in range(20)]
    points[3], points[11] = (3.0, 500.0), (11.0, -500.0)
    assert theil_sen(points) == pytest.approx(2.0)


# All of them


@pytest.mark.parametrize(
    "rule",
    [
        BurnRate(budget_share=0.01, most=10),
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
    assert all(entries <= 40 for entries in rule.tracked().values())
    assert all(dropped > 0 for dropped in rule.evicted().values())
    list(rule.findings(start + timedelta(minutes=10)))
