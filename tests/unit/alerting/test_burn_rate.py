"""Too many flags are found, and neither little traffic nor one conversation is taken for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.burn_rate import BurnRate, tail
from alerting.finding import Condition, Finding, Rule
from detectors.verdict import Status, Verdict

Make = Callable[..., Verdict]
Show = Callable[[Rule, Iterable[Verdict]], None]
Met = Callable[[Rule, datetime], dict[str, Finding]]
HIGH = ("deception", "misalignment")


def test_an_agent_that_is_flagged_far_too_often_burns(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = BurnRate(budget_share=0.01)
    shown(rule, (make_verdict(n / 4, flagged=HIGH if n % 3 == 0 else (), tools=("mail",)) for n in range(120)))
    found = met(rule, start + timedelta(minutes=30))
    assert found.keys() == {"AgentBurn", "TenantBurn", "ToolBurn"}
    assert found["AgentBurn"].subject == {"tenant": "acme", "agent": "clerk"}
    assert len(found["AgentBurn"].cases) == 3


def test_flags_within_the_budget_and_few_flags_burn_nothing(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = BurnRate(budget_share=0.01)
    shown(rule, (make_verdict(n / 40, flagged=HIGH if n % 100 == 0 else ()) for n in range(1000)))
    shown(rule, (make_verdict(n, agent="rare", flagged=HIGH) for n in range(4)))
    assert met(rule, start + timedelta(minutes=25)) == {}


def test_a_burn_that_is_over_is_clear_and_silence_is_no_data(make_verdict: Make, start: datetime, shown: Show) -> None:
    rule = BurnRate(budget_share=0.01)
    shown(rule, (make_verdict(n / 10, flagged=HIGH) for n in range(100)))
    shown(rule, (make_verdict(10 + n / 10) for n in range(300)))
    conditions = {each.condition for each in rule.findings(start + timedelta(minutes=39))}
    assert conditions == {Condition.CLEAR}
    assert {each.condition for each in rule.findings(start + timedelta(hours=3))} == {Condition.NO_DATA}


def test_what_is_unscored_is_no_evidence_of_anything(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
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


def test_one_conversation_burns_nobody_however_often_it_is_flagged(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = BurnRate(budget_share=0.01)
    shown(rule, (make_verdict(n / 4, conversation="one", flagged=HIGH, tools=("mail",)) for n in range(120)))
    assert met(rule, start + timedelta(minutes=30)) == {}


def test_flags_that_come_in_whole_conversations_are_chance_still(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    """Six of 18 conversations, each flagged from its first event to its last; as single flags they would be a burn."""
    rule, control = BurnRate(budget_share=0.05), BurnRate(budget_share=0.05)
    for n in range(18 * 20):
        flagged = HIGH if n % 3 == 0 else ()
        shown(rule, [make_verdict(n / 120, conversation=f"c{n % 18}", flagged=flagged)])
        shown(control, [make_verdict(n / 120, flagged=flagged)])
    now = start + timedelta(minutes=4)
    assert met(rule, now) == {}
    assert met(control, now).keys() == {"AgentBurn", "TenantBurn"}


def test_a_burn_is_seen_while_the_scorer_lags_for_longer_than_the_short_windows(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, lag = BurnRate(budget_share=0.01), 90
    shown(rule, (make_verdict(n / 4, decided=lag + n / 4, flagged=HIGH if n % 3 == 0 else ()) for n in range(120)))
    assert met(rule, start + timedelta(minutes=lag + 30)).keys() == {"AgentBurn", "TenantBurn"}
    silent = {each.condition for each in rule.findings(start + timedelta(minutes=lag + 120))}
    assert silent == {Condition.NO_DATA}


def test_tools_that_a_model_makes_up_drive_nobody_out_and_name_nothing(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = BurnRate(budget_share=0.01, tools_per_tenant=4)
    shown(rule, (make_verdict(n / 100, flagged=HIGH if n % 3 == 0 else (), tools=("mail",)) for n in range(60)))
    shown(rule, (make_verdict(1 + n / 400, flagged=HIGH, tools=(f"made-up-{n}", "call me <b>")) for n in range(2000)))
    found = [each for each in rule.findings(start + timedelta(minutes=6)) if each.condition is Condition.MET]
    named = {each.subject["tool"] for each in found if each.alert == "ToolBurn"}
    assert named == {"mail", "other"}
    assert {each.alert for each in found} == {"AgentBurn", "TenantBurn", "ToolBurn"}
    assert rule.evicted()["burn"] == 0


def test_who_was_flagged_is_forgotten_after_who_was_not(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = BurnRate(budget_share=0.01, agents=10)
    shown(rule, (make_verdict(n / 10, flagged=HIGH) for n in range(20)))
    shown(rule, (make_verdict(2, agent=f"new-{n}") for n in range(100)))
    assert "AgentBurn" in met(rule, start + timedelta(minutes=3))
    assert rule.evicted()["burn"] == 91
