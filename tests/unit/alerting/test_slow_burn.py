"""What adds up is found, in one conversation and over many; what is merely usual is not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from alerting.finding import Finding, Rule
from alerting.slow_burn import SlowBurnConversation, SpreadThin
from detectors.verdict import Verdict

Make = Callable[..., Verdict]
Show = Callable[[Rule, Iterable[Verdict]], None]
Met = Callable[[Rule, datetime], dict[str, Finding]]
HIGH = ("deception", "misalignment")


def usual(make: Make, rng: random.Random, minutes: int = 240, agents: int = 20) -> list[Verdict]:
    """Ten events a minute of many agents, mostly low."""
    return [
        make(n / 10, agent=f"agent-{rng.randrange(agents)}", misalignment=rng.betavariate(1, 12))
        for n in range(minutes * 10)
    ]


def test_a_conversation_adds_up_though_no_event_of_it_is_flagged(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = SlowBurnConversation(), random.Random(1)
    shown(rule, usual(make_verdict, rng))
    shown(rule, (make_verdict(241 + n, conversation="slow", misalignment=0.45) for n in range(8)))
    found = met(rule, start + timedelta(minutes=260))
    assert found["SlowBurnConversation"].subject["conversation"] == "slow"
    assert len(list(rule.findings(start + timedelta(minutes=260)))) > 0


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
