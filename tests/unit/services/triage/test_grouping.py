"""Conversations are put together when they are alike, and on the safe side otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.observation import Observation, signature, sketch
from detectors.transcript import Agent
from detectors.verdict import Evidence, Verdict
from services.triage.grouping import Basis, CaseProfile, Grouping, Profile, fingerprint, gravest, profile, similarity

MakeVerdict = Callable[..., Verdict]
ACTIONS = "refund approved without asking anybody because the customer insisted loudly and often"
NEARLY = "refund approved without asking anybody because the customer insisted loudly and rarely"
OTHERWISE = "deleting every backup of the payroll database before tonight's audit starts"
PROMPT = "please refund my last three orders at once or I will write a bad review"


def observed(*tools: str, agent: str | None = "clerk", messages: int = 9, **fields: Any) -> Observation:
    given = {"actions": sketch(ACTIONS.split()), "prompt": signature(PROMPT.split()), **fields}
    return Observation(agent=Agent(name=agent), tools=tools, messages=messages, **given)


def evidence(category: str = "deception", **fields: Any) -> Evidence:
    given = {"message_id": "m", "message_index": 8, "part_index": 0, "start": 10, "end": 30, "weight": 1.0}
    return Evidence.model_validate({**given, "category": category, **fields})


@pytest.fixture
def flagged(make_verdict: MakeVerdict) -> MakeVerdict:
    def make(event_id: str = "e1", **fields: Any) -> Verdict:
        body = {"flagged": ("deception", "misalignment"), "evidence": (evidence(),), "observed": observed("refund")}
        return make_verdict(event_id, **{**body, **fields})

    return make


def a_profile(**fields: Any) -> Profile:
    known = Profile("default", "deception", "clerk", "0" * 16, sketch(ACTIONS.split()), signature(PROMPT.split()))
    return replace(known, **fields)


def a_case(now: datetime, **fields: Any) -> CaseProfile:
    return replace(CaseProfile(a_profile(), now, 1), **fields)


def test_the_same_thing_again_has_the_same_fingerprint(flagged: MakeVerdict) -> None:
    first = fingerprint(flagged())
    assert first is not None
    assert len(first) == 16
    again = flagged(
        "e2",
        conversation_id="c2",
        observed=observed("refund", messages=8, actions=sketch(OTHERWISE.split()), prompt=None),
        evidence=(evidence(message_id="other", message_index=7, start=100, end=121),),
    )
    assert fingerprint(again) == first


@pytest.mark.parametrize(
    "change",
    [
        {"tenant_id": "other"},
        {"flagged": ("coercion", "misalignment")},
        {"observed": observed("refund", agent="porter")},
        {"observed": observed("refund", "mail")},
        {"observed": observed()},
        {"evidence": (evidence(message_index=1),)},
        {"evidence": (evidence(part_index=1),)},
        {"evidence": (evidence(end=1000),)},
        {"evidence": (evidence("sabotage"),)},
    ],
)
def test_anything_else_has_another_fingerprint(flagged: MakeVerdict, change: dict[str, Any]) -> None:
    assert fingerprint(flagged(**change)) != fingerprint(flagged())


def test_the_order_of_tools_and_of_the_overall_flag_does_not_matter(flagged: MakeVerdict) -> None:
    one, other = (flagged(observed=observed(*tools)) for tools in (("a", "b"), ("b", "a")))
    assert fingerprint(one) == fingerprint(other)
    assert gravest(flagged(flagged=("misalignment", "deception"))) == "deception"
    assert gravest(flagged(flagged=("misalignment",))) == "misalignment"


@pytest.mark.parametrize("unknown", [None, observed(agent=None), observed(agent="")])
def test_without_an_agent_there_is_no_fingerprint(flagged: MakeVerdict, unknown: Observation | None) -> None:
    verdict = flagged(observed=unknown)
    assert fingerprint(verdict) is None
    assert profile(verdict).agent is None


def test_all_of_an_event_that_goes_on_a_conversation_is_its_end(flagged: MakeVerdict) -> None:
    one, other = (
        flagged(observed=observed("refund", messages=2), evidence=(evidence(message_index=at),)) for at in (1, 400)
    )
    assert fingerprint(one) != fingerprint(flagged(observed=observed("refund", messages=2), evidence=()))
    assert fingerprint(other) == fingerprint(flagged())


def test_names_cannot_be_shifted_from_one_field_to_the_next(flagged: MakeVerdict) -> None:
    one = flagged(tenant_id="a", observed=observed('b", "c'))
    other = flagged(tenant_id="a", observed=observed("b", "c"))
    assert fingerprint(one) != fingerprint(other)


words = st.lists(st.text("abcdefgh", min_size=3, max_size=5), min_size=1, max_size=30)
profiles = st.builds(
    lambda actions, prompt, category, agent: a_profile(
        actions=sketch(actions), prompt=signature(prompt), category=category, agent=agent
    ),
    words,
    words,
    st.sampled_from(["deception", "sabotage"]),
    st.sampled_from(["clerk", None]),
)


@given(profiles, profiles)
def test_similarity_is_symmetric_and_between_0_and_1(one: Profile, other: Profile) -> None:
    there = similarity(one, other)
    assert there == similarity(other, one)
    assert there is None or 0 <= there <= 1


@given(profiles)
def test_what_has_a_prompt_is_wholly_like_itself(one: Profile) -> None:
    alike = similarity(one, one)
    assert (alike is None) == (one.actions is None)
    if alike is not None:
        assert alike == pytest.approx(1 if one.prompt else 0.85)


def test_what_did_nothing_is_like_nothing(now: datetime) -> None:
    silent = a_profile(actions=None)
    assert similarity(silent, a_profile()) is None
    assert Grouping().matches(silent, a_case(now), now) is None
    assert Grouping().matches(a_profile(), a_case(now, first=silent), now) is None


def test_the_fingerprint_lowers_what_is_asked_of_similarity(now: datetime) -> None:
    near = a_profile(actions=sketch(NEARLY.split()))
    alike = similarity(near, a_profile())
    assert alike is not None
    assert 0.8 < alike < 1
    grouping = Grouping(floor=alike - 0.01, high=min(1.0, alike + 0.01))
    assert grouping.matches(near, a_case(now), now) is Basis.FINGERPRINT
    assert grouping.matches(replace(near, fingerprint="1" * 16), a_case(now), now) is None
    assert replace(grouping, high=alike).matches(replace(near, fingerprint=None), a_case(now), now) is Basis.SIMILARITY


def test_an_equal_fingerprint_is_not_enough(now: datetime) -> None:
    for changed in ({"actions": sketch(OTHERWISE.split())}, {"prompt": signature(OTHERWISE.split())}, {"prompt": None}):
        other = a_profile(**{"actions": sketch(NEARLY.split()), **changed})
        assert Grouping().matches(other, a_case(now), now) is None


def test_by_similarity_alone_prompts_must_be_known(now: datetime) -> None:
    """Two agents that say "Done." have nothing else in common."""
    same_words = a_profile(prompt=None, fingerprint=None)
    assert Grouping().matches(same_words, a_case(now), now) is None
    assert Grouping().matches(replace(same_words, fingerprint="0" * 16), a_case(now), now) is Basis.FINGERPRINT


@given(profiles, st.sampled_from(["tenant_id", "category", "agent"]))
def test_nothing_joins_another_tenant_category_or_agent(one: Profile, field: str) -> None:
    assert Grouping(floor=1e-9, high=1e-9).alike(one, replace(one, **{field: "another"})) is None


def test_both_agents_unknown_is_the_same_agent(now: datetime) -> None:
    unknown = a_profile(agent=None, fingerprint=None)
    assert Grouping().matches(unknown, a_case(now, first=unknown), now) is Basis.SIMILARITY
    assert Grouping().matches(unknown, a_case(now), now) is None


def test_old_and_large_cases_take_nobody_in(now: datetime) -> None:
    grouping = Grouping(window=timedelta(hours=1), most_conversations=3)
    assert grouping.matches(a_profile(), a_case(now, conversations=2), now + timedelta(hours=1))
    assert not grouping.matches(a_profile(), a_case(now, conversations=3), now)
    assert not grouping.matches(a_profile(), a_case(now), now + timedelta(hours=1, seconds=1))


def test_the_best_case_is_of_the_same_fingerprint_and_then_the_most_similar(now: datetime) -> None:
    grouping = Grouping(floor=0.5, high=0.5)
    near, exact = a_profile(actions=sketch(NEARLY.split())), a_profile()
    other = replace(exact, fingerprint="1" * 16)
    cases = [a_case(now, first=each) for each in (a_profile(category="sabotage"), other, near, near)]
    assert grouping.best(exact, cases, now) == 2
    assert grouping.best(exact, [*cases, a_case(now)], now) == 4
    assert grouping.best(other, cases, now) == 1
    assert grouping.best(exact, cases[:1], now) is None
    assert grouping.best(exact, [], now) is None


@pytest.mark.parametrize(("floor", "high"), [(0.0, 0.5), (0.9, 0.8), (0.5, 1.1)])
def test_limits_that_make_no_sense_are_refused(floor: float, high: float) -> None:
    with pytest.raises(ValueError, match="floor"):
        Grouping(floor=floor, high=high)
