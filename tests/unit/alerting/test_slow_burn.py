"""What adds up is found, in one conversation and over many; what is merely usual is not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from alerting.finding import Condition, Finding, Rule
from alerting.slow_burn import SlowBurnConversation, SpreadThin
from detectors.verdict import Verdict

Make = Callable[..., Verdict]
Show = Callable[[Rule, Iterable[Verdict]], None]
Met = Callable[[Rule, datetime], dict[str, Finding]]
HIGH = ("deception", "misalignment")


def usual(make: Make, rng: random.Random, minutes: int = 240, agents: int = 20) -> list[Verdict]:
    """Ten events a minute of many agents, mostly low, each agent with a conversation an hour."""
    who = [rng.randrange(agents) for _ in range(minutes * 10)]
    return [
        make(n / 10, agent=f"agent-{a}", conversation=f"c-{a}-{n // 600}", misalignment=rng.betavariate(1, 12))
        for n, a in enumerate(who)
    ]


def test_a_conversation_adds_up_though_no_event_of_it_is_flagged(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SlowBurnConversation(), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(241 + n, conversation="slow", misalignment=0.45) for n in range(18)))
    found = met(rule, start + timedelta(minutes=260))
    assert found["SlowBurnConversation"].subject["conversation"] == "slow"
    assert len(list(rule.findings(start + timedelta(minutes=260)))) > 0


def test_a_conversation_that_lies_far_from_all_others_adds_up_where_conversations_differ(
    clean: Callable[..., list[Verdict]], make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = SlowBurnConversation()
    shown(rule, clean(1))
    shown(rule, (make_verdict(600 + n, conversation="slow", misalignment=0.9) for n in range(10)))
    assert met(rule, start + timedelta(minutes=612))["SlowBurnConversation"].subject["conversation"] == "slow"


def test_one_grave_event_and_many_usual_ones_do_not_add_up(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SlowBurnConversation(), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, [make_verdict(241, conversation="once", misalignment=0.99, flagged=HIGH)])
    shown(
        rule,
        (make_verdict(242 + n, conversation="long", misalignment=rng.betavariate(1, 12)) for n in range(200)),
    )
    assert met(rule, start + timedelta(minutes=450)) == {}


def test_one_event_adds_no_more_than_a_step(make_verdict: Make, start: datetime, shown: Show, met: Met) -> None:
    rule, rng = SlowBurnConversation(limit=3.0, step=2.0), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, [make_verdict(241, conversation="once", misalignment=0.999)])
    assert met(rule, start + timedelta(minutes=242)).keys() == set()
    shown(rule, [make_verdict(242, conversation="once", misalignment=0.999)])
    assert met(rule, start + timedelta(minutes=243)).keys() == {"SlowBurnConversation"}


def test_one_agent_spreads_thin_over_many_conversations(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SpreadThin(), random.Random(2)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(240 + n, agent="thin", misalignment=0.35 if n % 2 else 0.02) for n in range(30)))
    found = met(rule, start + timedelta(minutes=280))
    assert found["SpreadThin"].subject == {"tenant": "acme", "agent": "thin"}
    assert len({case.conversation_id for case in found["SpreadThin"].cases}) == 3


def test_no_single_conversation_makes_an_agent_spread_thin(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SpreadThin(), random.Random(2)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(240 + n / 10, agent="one", conversation="x", misalignment=0.9) for n in range(300)))
    assert met(rule, start + timedelta(minutes=280)) == {}


SPREADS = [
    {"events": (1, 1)},
    {"events": (20, 20), "between": 0.0, "within": 1.1},  # no event has to do with another
    {"events": (20, 20), "between": 0.0, "within": 1.1, "agents": 1},
    {"events": (20, 20)},  # events of a conversation are much alike
    {"events": (1, 40)},
    {"events": (1, 40), "agents": 1},
    {"events": (1, 40), "rounded": 1},  # scores of a few values only
    {"events": (1, 40), "agents": 1, "rounded": 1},
]


@pytest.mark.parametrize("rule", [SlowBurnConversation, SpreadThin])
@pytest.mark.parametrize("spread", SPREADS, ids=str)
def test_conversations_that_merely_differ_are_left_alone(
    clean: Callable[..., list[Verdict]], start: datetime, met: Met, rule: type[Rule], spread: dict[str, Any]
) -> None:
    for seed in range(3):
        made = rule()
        for number, verdict in enumerate(clean(seed, **spread)):
            made.observe(verdict, verdict.occurred_at)
            if number % 200 == 0:
                assert met(made, verdict.occurred_at) == {}
        assert met(made, start + timedelta(hours=10)) == {}


def test_long_conversations_of_one_agent_that_are_each_a_little_suspicious_are_spread_thin(
    clean: Callable[..., list[Verdict]], make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = SpreadThin()
    shown(rule, clean(1, events=(10, 10)))
    thin = (
        make_verdict(600 + n, agent="thin", conversation=f"t{n % 30}", misalignment=0.35 if n >= 270 else 0.04)
        for n in range(300)
    )
    shown(rule, thin)
    assert met(rule, start + timedelta(minutes=900))["SpreadThin"].subject["agent"] == "thin"


def test_what_is_spread_thin_keeps_its_cases_until_it_is_over(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SpreadThin(), random.Random(2)
    shown(rule, usual(make_verdict, rng, minutes=600))
    shown(rule, (make_verdict(600 + n, agent="thin", misalignment=0.35 if n % 2 else 0.02) for n in range(30)))
    for hour in range(11, 34):
        assert len(met(rule, start + timedelta(hours=hour))["SpreadThin"].cases) == 3
    assert list(rule.findings(start + timedelta(hours=36))) == []  # silent for a day: nothing to say


def test_a_busy_agent_is_judged_by_its_latest_conversations(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SpreadThin(conversations=50), random.Random(2)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(240 + n / 10, agent="busy", misalignment=0.02) for n in range(500)))
    shown(rule, (make_verdict(300 + n / 10, agent="busy", misalignment=0.35) for n in range(20)))
    assert met(rule, start + timedelta(minutes=310)).keys() == {"SpreadThin"}


def test_one_grave_message_that_is_sent_again_and_again_is_one_piece_of_evidence(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SlowBurnConversation(), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    whole = (make_verdict(241 + n, conversation="whole", misalignment=0.9, evidence="m3") for n in range(40))
    shown(rule, whole)
    assert met(rule, start + timedelta(minutes=290)) == {}
    shown(rule, (make_verdict(291 + n, conversation="new", misalignment=0.9, evidence=f"m{n}") for n in range(6)))
    assert met(rule, start + timedelta(minutes=298))["SlowBurnConversation"].subject["conversation"] == "new"


def test_a_conversation_that_calms_down_is_over_soon_however_bad_it_was(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SlowBurnConversation(), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(241 + n / 10, conversation="bad", misalignment=0.9) for n in range(100)))
    assert met(rule, start + timedelta(minutes=252))
    shown(rule, (make_verdict(252 + n, conversation="bad", misalignment=0.05) for n in range(8)))
    assert met(rule, start + timedelta(minutes=261)) == {}


def test_a_flood_of_conversations_that_add_up_is_cut_off_and_counted(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SlowBurnConversation(per_hour=3), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(241 + n / 10, conversation=f"bad-{n % 8}", misalignment=0.9) for n in range(80)))
    found = [each for each in rule.findings(start + timedelta(minutes=250)) if each.condition is Condition.MET]
    assert len(found) == 3
    assert rule.suppressed == 5


def test_a_conversation_that_falls_silent_is_over(make_verdict: Make, start: datetime, shown: Show, met: Met) -> None:
    rule, rng = SlowBurnConversation(), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(241 + n, conversation="bad", misalignment=0.9) for n in range(20)))
    assert met(rule, start + timedelta(hours=10))
    assert {each.condition for each in rule.findings(start + timedelta(hours=11))} == {Condition.CLEAR}
