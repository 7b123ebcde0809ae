"""A grave flag is an alert by itself, within a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from alerting.case_alerts import CaseFlagged
from alerting.finding import Finding, Rule
from detectors.verdict import Verdict

Make = Callable[..., Verdict]
Show = Callable[[Rule, Iterable[Verdict]], None]
Met = Callable[[Rule, datetime], dict[str, Finding]]
HIGH = ("deception", "misalignment")


def test_a_grave_case_is_an_alert_for_an_hour(make_verdict: Make, start: datetime, shown: Show, met: Met) -> None:
    rule = CaseFlagged()
    shown(rule, [make_verdict(0, flagged=("coercion", "misalignment"), misalignment=0.9, scores={"coercion": 0.95})])
    shown(rule, [make_verdict(0, flagged=HIGH, misalignment=0.99), make_verdict(0, flagged=("coercion",))])
    assert met(rule, start + timedelta(minutes=59))["CaseFlagged"].value == 0.95
    assert met(rule, start + timedelta(minutes=61)) == {}


def test_a_flood_of_grave_cases_is_cut_off_and_counted(make_verdict: Make, start: datetime, shown: Show) -> None:
    rule = CaseFlagged(per_hour=3)
    grave = {"flagged": ("sabotage",), "misalignment": 0.9}
    shown(rule, (make_verdict(n, conversation=f"c{n % 10}", **grave) for n in range(30)))
    assert len(list(rule.findings(start + timedelta(minutes=10)))) == 3
    assert rule.suppressed == 7


def test_the_limit_is_for_the_grave_category_not_for_another_one(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = CaseFlagged()
    both, scores = ("deception", "sabotage", "misalignment"), {"deception": 0.97, "sabotage": 0.3}
    shown(rule, [make_verdict(0, flagged=both, scores=scores, misalignment=0.97)])
    assert met(rule, start + timedelta(minutes=1)) == {}
    shown(rule, [make_verdict(0, flagged=both, scores=scores | {"sabotage": 0.85}, misalignment=0.97)])
    found = met(rule, start + timedelta(minutes=1))["CaseFlagged"]
    assert (found.value, found.detail, found.cases[0].category) == (0.85, "flagged for sabotage", "sabotage")


def test_the_case_points_at_the_evidence_of_the_grave_category(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = CaseFlagged()
    scores = {"deception": 0.97, "sabotage": 0.9}
    made = make_verdict(0, flagged=("deception", "sabotage"), scores=scores, evidence="m1")
    other = made.evidence[0].model_copy(update={"category": "sabotage", "message_id": "m2"})
    shown(rule, [made.model_copy(update={"evidence": (*made.evidence, other)})])
    assert met(rule, start + timedelta(minutes=1))["CaseFlagged"].cases[0].message_id == "m2"
