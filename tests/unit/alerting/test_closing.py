"""Closing an alert ends it; what was known then does not bring it back, what comes later does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerting.alert import Alert, State, Transition
from alerting.closing import Closing
from alerting.finding import Case, Condition, Finding, fingerprint
from alerting.lifecycle import Lifecycle

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SUBJECT = {"tenant": "acme", "conversation": "c"}
KEY = fingerprint("CaseFlagged", SUBJECT)


def minute(number: float) -> datetime:
    return START + number * MINUTE


def flagged(*minutes: float, condition: Condition = Condition.MET, now: float = 60) -> Finding:
    """A finding about flags at these minutes."""
    cases = tuple(Case("acme", "c", f"v{each}", "sabotage", 0.9, at=minute(each)) for each in minutes)
    return Finding("CaseFlagged", SUBJECT, condition, 0.9, 0.8, since=START, until=minute(now), cases=cases)


def closed(at: float) -> Closing:
    return Closing(fingerprint=KEY, at=minute(at))


def kinds(transitions: list[Transition]) -> list[State]:
    return [transition.alert.state for transition in transitions]


def test_a_closed_alert_is_resolved_and_only_a_later_flag_brings_it_back() -> None:
    life = Lifecycle()
    life.step([flagged(1)], minute(1))
    (over,) = life.close(closed(3))
    assert (over.alert.state, over.alert.closed_at, over.alert.changed_at) == (State.RESOLVED, minute(3), minute(3))
    assert over.notify
    assert life.alerts() == []
    assert life.step([flagged(1)], minute(4)) == []
    assert life.step([flagged(1, 3)], minute(5)) == []
    (again,) = life.step([flagged(1, 3, 5)], minute(6))
    assert (again.alert.state, again.alert.started_at, again.alert.closed_at) == (State.FIRING, minute(6), None)
    assert life.close(closed(3)) == []  # the same closing, seen again


def test_closing_leaves_alone_what_has_been_flagged_since() -> None:
    life = Lifecycle()
    life.step([flagged(1, 4)], minute(4))
    assert life.close(closed(3)) == []
    assert [alert.state for alert in life.alerts()] == [State.FIRING]


def test_what_is_only_pending_or_without_data_is_closed_as_well() -> None:
    pending = Lifecycle(pending_for={"CaseFlagged": 5 * MINUTE})
    pending.step([flagged(1)], minute(1))
    assert [(t.alert.state, t.notify) for t in pending.close(closed(2))] == [(State.RESOLVED, False)]
    silent = Lifecycle()
    silent.step([flagged(1)], minute(1))
    assert kinds(silent.step([], minute(2))) == [State.NO_DATA]
    assert kinds(silent.close(closed(3))) == [State.RESOLVED]


def test_without_cases_it_stays_closed_until_its_condition_has_once_not_held() -> None:
    life = Lifecycle()
    life.step([flagged()], minute(1))
    assert kinds(life.close(closed(3))) == [State.RESOLVED]
    assert life.step([flagged()], minute(4)) == []
    assert life.step([flagged(condition=Condition.CLEAR)], minute(5)) == []
    assert kinds(life.step([flagged()], minute(6))) == [State.FIRING]


def test_a_flag_whose_sender_lives_in_the_future_does_not_outlast_a_closing(make_verdict: object) -> None:
    verdict = make_verdict(1, flagged=("sabotage",))  # type: ignore[operator]
    ahead = verdict.model_copy(update={"occurred_at": minute(1000)})
    assert Case.of(ahead).at == minute(1)


@given(
    flags=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    closed_at=st.integers(0, 40),
    died_at=st.integers(0, 45),
)
def test_a_closing_outlives_the_process(flags: list[int], closed_at: int, died_at: int) -> None:
    """Whenever it dies: what is published is what would have been, and ends with the same alerts."""

    def lived(died_at: int | None) -> tuple[list[tuple[State, datetime | None]], set[str]]:
        life, latest, told = Lifecycle(), dict[str, Alert](), []
        for now in range(46):
            if now == died_at:
                life = Lifecycle()
                life.restore([Alert.model_validate_json(alert.model_dump_json()) for alert in latest.values()])
                for closing in [closed(closed_at)] if now > closed_at else []:
                    assert life.close(closing) == []
            cases = [flag for flag in flags if flag <= now]
            changes = life.step([flagged(*cases)] if cases else [], minute(now))
            changes += life.close(closed(closed_at)) if now == closed_at else []
            latest |= {change.alert.fingerprint: change.alert for change in changes}
            told += [(change.alert.state, change.alert.started_at) for change in changes]
        return told, {alert.fingerprint for alert in life.alerts()}

    assert lived(died_at) == lived(None)
    told, active = lived(None)
    assert bool(active) == any(flag > closed_at for flag in flags)
    assert told.count((State.RESOLVED, minute(min(flags)))) == (min(flags) <= closed_at)
