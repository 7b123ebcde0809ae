"""The life of an alert: every state is left the right way, whatever comes and in whatever order."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import Alert, State, Transition
from alerting.finding import Case, Condition, Finding
from alerting.lifecycle import Lifecycle

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEEP = timedelta(minutes=10)
RESOLVE = timedelta(minutes=2)
REMIND = timedelta(minutes=30)


def finding(
    subject: str = "a",
    condition: Condition = Condition.MET,
    *,
    alert: str = "AgentBurn",
    cases: tuple[Case, ...] = (),
) -> Finding:
    return Finding(alert, {"agent": subject}, condition, value=20.0, limit=14.4, since=START, until=START, cases=cases)


def case(version: str | None = None) -> Case:
    return Case("acme", "c", "v", "deception", 0.9, at=START, model_version=version)


def lifecycle(pending: int = 0) -> Lifecycle:
    return Lifecycle(
        pending_for={"AgentBurn": pending * MINUTE},
        resolve_after=RESOLVE,
        keep_without_data=KEEP,
        renotify_every=REMIND,
    )


def states(transitions: list[Transition]) -> list[tuple[State, bool]]:
    return [(transition.alert.state, transition.notify) for transition in transitions]


def test_pending_then_firing_then_resolved() -> None:
    life = lifecycle(pending=2)
    assert states(life.step([finding()], START)) == [(State.PENDING, False)]
    assert life.step([finding()], START + MINUTE) == []
    (fired,) = life.step([finding()], START + 2 * MINUTE)
    assert (fired.alert.state, fired.notify, fired.alert.started_at) == (State.FIRING, True, START + 2 * MINUTE)
    clear = finding(condition=Condition.CLEAR)
    assert life.step([clear], START + 3 * MINUTE) == []
    assert states(life.step([clear], START + 5 * MINUTE)) == [(State.RESOLVED, True)]
    assert life.alerts() == []


def test_what_is_over_before_it_fires_calls_nobody() -> None:
    life = lifecycle(pending=2)
    life.step([finding()], START)
    assert states(life.step([finding(condition=Condition.CLEAR)], START + MINUTE)) == [(State.RESOLVED, False)]


def test_a_moment_of_calm_resolves_nothing() -> None:
    life = lifecycle()
    life.step([finding()], START)
    for minute in range(1, 20):
        condition = Condition.CLEAR if minute % 2 else Condition.MET
        assert life.step([finding(condition=condition)], START + minute * MINUTE) == []


def test_without_data_it_stays_an_alert_and_is_the_same_when_it_comes_back() -> None:
    life = lifecycle()
    (fired,) = life.step([finding()], START)
    assert states(life.step([], START + MINUTE)) == [(State.NO_DATA, False)]
    (back,) = life.step([finding()], START + 2 * MINUTE)
    assert (back.alert.state, back.notify, back.alert.started_at) == (State.FIRING, False, fired.alert.started_at)
    life.step([], START + 3 * MINUTE)
    assert life.step([], START + 12 * MINUTE) == []
    assert states(life.step([], START + 13 * MINUTE)) == [(State.RESOLVED, True)]


def test_people_are_reminded_but_not_of_what_they_silenced() -> None:
    life = lifecycle()
    life.step([finding()], START)
    assert life.step([finding()], START + REMIND - MINUTE) == []
    assert states(life.step([finding()], START + REMIND)) == [(State.FIRING, True)]
    silent = life.step([finding()], START + 2 * REMIND, silenced=lambda _: True)
    assert states(silent) == [(State.FIRING, False)]
    assert states(life.step([finding()], START + 2 * REMIND + MINUTE)) == [(State.FIRING, True)]


def test_a_silenced_alert_fires_without_a_word() -> None:
    (fired,) = lifecycle().step([finding()], START, silenced=lambda _: True)
    assert (fired.alert.state, fired.alert.silenced, fired.notify) == (State.FIRING, True, False)


def test_what_was_resolved_does_not_come_back_when_the_past_is_gone_through_again() -> None:
    life = lifecycle()
    (fired,) = life.step([finding()], START)
    (over,) = life.step([], START + MINUTE)[:1]
    resolved = over.alert.model_copy(update={"state": State.RESOLVED, "changed_at": START + 5 * MINUTE})
    again = lifecycle()
    again.restore([fired.alert, resolved])
    assert again.step([finding()], START + 4 * MINUTE) == []
    assert states(again.step([finding()], START + 6 * MINUTE)) == [(State.FIRING, True)]


def test_going_through_the_past_again_does_not_undo_what_was_said() -> None:
    (fired,) = lifecycle().step([finding()], START + 5 * MINUTE)
    again = lifecycle()
    again.restore([fired.alert])
    assert again.step([], START + 4 * MINUTE) == []  # the findings are not there yet
    assert again.step([finding()], START + 5 * MINUTE) == []
    assert [alert.state for alert in again.alerts()] == [State.FIRING]


Steps = st.lists(
    st.tuples(
        st.integers(-3, 8),  # minutes since the step before: clocks also go back
        st.dictionaries(st.sampled_from("abc"), st.sampled_from(list(Condition)), max_size=3),
    ),
    max_size=60,
)


def run(life: Lifecycle, steps: list[tuple[int, dict[str, Condition]]]) -> list[Transition]:
    now, transitions = START, []
    for minutes, conditions in steps:
        now += minutes * MINUTE
        findings = [finding(subject, condition) for subject, condition in conditions.items()]
        transitions += life.step(findings, now)
        assert life.step(findings, now) == []  # the same again says nothing
    return transitions


@given(Steps, st.integers(0, 3))
def test_states_follow_each_other_as_they_may(steps: list[tuple[int, dict[str, Condition]]], pending: int) -> None:
    allowed = {
        None: {State.PENDING, State.FIRING},
        State.PENDING: {State.FIRING, State.RESOLVED},
        State.FIRING: {State.FIRING, State.NO_DATA, State.RESOLVED},
        State.NO_DATA: {State.FIRING, State.RESOLVED},
        State.RESOLVED: {State.PENDING, State.FIRING},
    }
    before: dict[str, Alert] = {}
    told: Counter[str] = Counter()
    for transition in run(lifecycle(pending), steps):
        alert = transition.alert
        last = before.get(alert.fingerprint)
        assert alert.state in allowed[last.state if last else None]
        if last is not None:
            assert alert.changed_at >= last.changed_at
        if alert.state is State.FIRING and last is not None and last.state is State.FIRING:
            assert alert.notified_at is not None  # a reminder, and nothing else
            assert last.notified_at is None or alert.notified_at - last.notified_at >= REMIND
        if transition.notify:
            told[alert.fingerprint] += 1 if alert.state is State.FIRING else 0
            if alert.state is State.RESOLVED:
                assert told.pop(alert.fingerprint)  # nobody hears of the end of what they never heard of
        before[alert.fingerprint] = alert


@given(Steps)
def test_everything_ends_once_all_is_clear(steps: list[tuple[int, dict[str, Condition]]]) -> None:
    life = lifecycle(pending=1)
    run(life, steps)
    end = START + timedelta(days=1)
    for minute in range(4):
        life.step([finding(subject, Condition.CLEAR) for subject in "abc"], end + minute * MINUTE)
    assert life.alerts() == []


@given(Steps, st.integers(0, 60))
def test_dying_and_taking_up_again_says_what_would_have_been_said_without(
    steps: list[tuple[int, dict[str, Condition]]], died_after: int
) -> None:
    uninterrupted = said(run(lifecycle(pending=1), steps))
    life = lifecycle(pending=1)
    before = run(life, steps[:died_after])
    latest = {transition.alert.fingerprint: transition.alert for transition in before}
    life = lifecycle(pending=1)
    life.restore(Alert.model_validate_json(alert.model_dump_json()) for alert in latest.values())
    after = run(life, steps)  # the past is gone through again, and says nothing
    assert said(before) + said(after) == uninterrupted


def said(transitions: list[Transition]) -> list[tuple[object, ...]]:
    return [
        (t.alert.fingerprint, t.alert.state, t.alert.started_at, t.alert.changed_at, t.alert.notified_at, t.notify)
        for t in transitions
    ]


def test_silence_is_no_calm() -> None:
    life = lifecycle()
    life.step([finding()], START)
    clear = finding(condition=Condition.CLEAR)
    life.step([clear], START + MINUTE)
    assert states(life.step([], START + 2 * MINUTE)) == [(State.NO_DATA, False)]
    assert life.step([clear], START + 6 * MINUTE) == []
    assert states(life.step([clear], START + 8 * MINUTE)) == [(State.RESOLVED, True)]


def test_some_alerts_wait_longer_for_what_was_forgotten() -> None:
    life = Lifecycle(keep_without_data=KEEP, kept_longer={"AgentBurn": 3 * KEEP})
    life.step([finding(), finding(alert="TenantBurn")], START)
    life.step([], START + MINUTE)
    over = life.step([], START + MINUTE + KEEP)
    assert [transition.alert.alert for transition in over] == ["TenantBurn"]
    assert states(life.step([], START + MINUTE + 3 * KEEP)) == [(State.RESOLVED, True)]


def test_an_alert_keeps_the_model_version_that_all_its_cases_had_when_it_fired() -> None:
    life = lifecycle()
    (fired,) = life.step([finding(cases=(case(version="v2"), case(version="v2")))], START)
    assert fired.alert.model_version == "v2"
    life.step([finding(cases=(case(version="v3"),))], START + MINUTE)
    assert [alert.model_version for alert in life.alerts()] == ["v2"]
    (mixed,) = lifecycle().step([finding(cases=(case(version="v2"), case(version="v3")))], START)
    assert mixed.alert.model_version is None


def test_that_somebody_silenced_an_alert_is_published_once() -> None:
    life = lifecycle()
    life.step([finding()], START)
    (silenced,) = life.step([finding()], START + MINUTE, silenced=lambda _: True)
    assert (silenced.alert.silenced, silenced.notify) == (True, False)
    assert life.step([finding()], START + 2 * MINUTE, silenced=lambda _: True) == []
