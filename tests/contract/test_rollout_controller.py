"""Who decides about a rollout, and that every move is told of once, whoever dies when: on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from deploy.registry.errors import UnreachableError, UntrustedError
from deploy.rollout.comparison import Pairs
from deploy.rollout.errors import NotAllowedStep
from deploy.rollout.state import Rollout, RolloutStage, Step
from detectors.verdict import Arm
from services.errors import ServicesError, TransientError
from services.rollout.errors import MovedMeanwhile, NoRolloutError, NotNowError
from services.rollout.steering import Manual
from services.store import Database, Transaction, audit, outbox, verdicts
from services.store.outbox import Channel, Message
from tests.rollout_data import CANDIDATE, STABLE, TOPIC, Production, advances, production, promotes, rolls_back
from tests.triage_data import event, verdict


class Died(BaseException):
    """What SIGKILL does: nobody catches it."""


class Dying:
    """A registry whose process dies around a move."""

    def __init__(self, registry: Any, *, before: bool) -> None:
        self._registry = registry
        self._before = before

    def rollout(self) -> Rollout | None:
        found: Rollout | None = self._registry.rollout()
        return found

    def rollout_history(self, limit: int) -> Sequence[Rollout]:
        found: Sequence[Rollout] = self._registry.rollout_history(limit)
        return found

    def move(self, rollout: Rollout) -> None:
        if not self._before:
            self._registry.move(rollout)
        raise Died


class Broken(Dying):
    """A registry that raises whatever it is asked for."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def rollout(self) -> Rollout | None:
        raise self._error


class Halting(Database):
    """A database whose process dies in its n-th transaction that writes, before it is committed."""

    def __init__(self, database: Database, after: int) -> None:
        super().__init__(database.engine)
        self._left = after

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        with super().write() as tx:
            yield tx
            self._left -= 1
            if self._left < 0:
                raise Died


@pytest.fixture
def there(database: Database, tmp_path: Path) -> Production:
    return production(database, tmp_path / "registry")


def told(database: Database) -> list[tuple[str, str, str]]:
    """(who, what, of which) of the audit log, which holds together."""
    with database.read() as tx:
        assert audit.verify(tx).broken_at is None
        return [(each.actor, each.action, each.object) for each in audit.entries(tx) if "rollout" in each.action]


def messages(there: Production) -> list[Message]:
    with there.database.read() as tx:
        return outbox.due(tx, there.clock() + timedelta(days=1), channel=Channel.KAFKA, limit=1000)


def of_history(there: Production) -> list[tuple[str, str, str]]:
    history = there.registry.rollout_history(1000)[::-1]
    return [(each.actor, f"rollout.{each.step.value}", f"rollout/{each.revision}") for each in history]


def assert_told_once(there: Production) -> None:
    assert told(there.database) == of_history(there)
    assert [each.value["revision"] for each in messages(there)] == [
        each.revision for each in there.registry.rollout_history(1000)[::-1]
    ]


def test_a_candidate_goes_its_way_and_every_step_is_told_of(there: Production) -> None:
    there.begin()
    there.judge.moves = [lambda _, __: None, advances, promotes]
    metrics = CollectorRegistry()
    controller = there.controller(metrics=metrics)
    stages = [found.stage for _ in range(4) if (found := controller.look())]
    assert stages == [RolloutStage.SHADOW, RolloutStage.CANARY, RolloutStage.STEADY, RolloutStage.STEADY]
    assert told(there.database) == [
        ("plumbline", "rollout.started", "rollout/1"),
        ("plumbline", "rollout.started", "rollout/2"),
        ("plumbline", "rollout.advanced", "rollout/3"),
        ("plumbline", "rollout.promoted", "rollout/4"),
    ]
    last = messages(there)[-1]
    assert (last.topic, last.key) == (TOPIC, "here")
    facts = {"stable": CANDIDATE, "previous": STABLE, "step": "promoted", "installation": "here", "schema_version": 1}
    assert facts.items() <= last.value.items()
    assert metrics.get_sample_value("plumbline_rollout_revision") == 4
    assert metrics.get_sample_value("plumbline_rollout_stage", {"stage": "steady"}) == 1
    assert metrics.get_sample_value("plumbline_rollout_version", {"role": "stable", "version": CANDIDATE}) == 1
    assert metrics.get_sample_value("plumbline_rollout_version", {"role": "candidate", "version": CANDIDATE}) is None
    promoted = {"step": "promoted", "by": "plumbline"}
    assert metrics.get_sample_value("plumbline_rollout_steps_total", promoted) == 1


def test_what_the_arms_did_is_what_the_judge_sees_and_the_metrics_say(there: Production) -> None:
    started = there.begin()
    made = [
        verdict(
            event(f"c{number}"), bundle=version, arm=arm, seconds=0.5, flagged=("deception",) if number == flags else ()
        )
        for version, arm, flags in ((STABLE, Arm.STABLE, 0), (CANDIDATE, Arm.SHADOW, 1))
        for number in range(4)
    ]
    with there.database.write() as tx:
        verdicts.add(tx, made, started.stage_began_at)
    metrics = CollectorRegistry()
    there.controller(metrics=metrics).look()
    (seen,) = there.judge.shown
    assert (seen.stable.conversations, seen.candidate.flagged) == (4, 1)
    assert seen.paired is not None
    assert seen.paired.flagged == Pairs(only_candidate=1, only_stable=1, neither=2)
    agreed = {"arm": "shadow", "what": "agreed"}
    assert metrics.get_sample_value("plumbline_rollout_compared", agreed) == 0.5
    assert metrics.get_sample_value("plumbline_rollout_compared", {"arm": "shadow", "what": "seconds"}) == 0.5
    assert metrics.get_sample_value("plumbline_rollout_events", {"arm": "stable"}) == 4
    assert metrics.get_sample_value("plumbline_rollout_p_value", {"what": "flagged"}) == 0.5


def test_it_counts_on_and_begins_anew_with_another_stage(there: Production) -> None:
    started = there.begin()
    controller = there.controller()

    def record(number: int, arm: Arm, **fields: Any) -> None:
        with there.database.write() as tx:
            made = verdict(event(f"c{number}"), bundle=CANDIDATE, arm=arm, **{"flagged": (), **fields})
            verdicts.add(tx, [made], there.clock.now)

    for number in range(4):
        record(number, Arm.SHADOW)
        there.clock.now += timedelta(minutes=1)
        controller.look()
    assert [each.candidate.conversations for each in there.judge.shown] == [1, 2, 3, 4]
    there.judge.moves = [advances]
    controller.look()
    record(9, Arm.CANARY)
    controller.look()
    assert there.judge.shown[-1].candidate.conversations == 1
    assert there.judge.shown[-1].paired is None
    assert started.revision == 2


def test_what_was_erased_is_no_reason_to_stop(there: Production) -> None:
    started = there.begin()
    of = [verdict(event(f"c{number}"), bundle=CANDIDATE, arm=Arm.SHADOW) for number in range(3)]
    with there.database.write() as tx:
        verdicts.add(tx, of, started.stage_began_at)
    controller = there.controller()
    there.clock.now += timedelta(minutes=5)
    controller.look()
    with there.database.write() as tx:
        tx.exec_driver_sql("DELETE FROM verdicts")
    again = verdict(event("c0", event_id="later"), bundle=CANDIDATE, arm=Arm.SHADOW)
    with there.database.write() as tx:
        verdicts.add(tx, [again], there.clock.now)
    controller.look()
    there.clock.now += timedelta(hours=2)
    controller.look()
    assert there.judge.shown[-1].candidate.conversations == 1


def test_one_decides_and_another_takes_over_when_it_is_gone(there: Production) -> None:
    there.begin()
    metrics = CollectorRegistry()
    one, other = there.controller("a", metrics=metrics), there.controller("b")
    assert one.look() is not None
    assert other.look() is None
    there.clock.now += timedelta(minutes=1)
    assert other.look() is not None
    assert one.look() is None
    assert metrics.get_sample_value("plumbline_rollout_stage", {"stage": "shadow"}) == 0
    assert len(there.judge.shown) == 2


def test_nothing_rolled_out_is_nothing_to_do(there: Production) -> None:
    assert there.controller().look() is None
    assert told(there.database) == []


@pytest.mark.parametrize("before", [True, False])
def test_a_process_that_dies_around_a_move_leaves_all_of_it_or_nothing(there: Production, before: bool) -> None:
    there.begin()
    there.judge.moves = [promotes]
    with pytest.raises(Died):
        there.controller("a", registry=Dying(there.registry, before=before)).look()
    there.clock.now += timedelta(minutes=1)
    metrics = CollectorRegistry()
    there.judge.moves = [promotes]
    found = there.controller("b", metrics=metrics).look()
    assert found is not None
    assert (found.step, found.revision) == (Step.PROMOTED, 3)
    assert_told_once(there)
    promoted = {"step": "promoted", "by": "plumbline"}
    assert metrics.get_sample_value("plumbline_rollout_steps_total", promoted) == 1


@pytest.mark.parametrize("transaction", range(4))
def test_a_process_that_dies_in_any_transaction_tells_nothing_twice(there: Production, transaction: int) -> None:
    """Lease, what was not told of, and the move itself."""
    there.begin()
    there.judge.moves = [rolls_back]
    dying = there.controller("a", database=Halting(there.database, transaction))
    if transaction < 3:
        with pytest.raises(Died):
            dying.look()
    else:
        dying.look()
    there.clock.now += timedelta(minutes=1)
    there.judge.moves = [rolls_back]
    after = there.controller("b")
    after.look()
    after.look()
    newest = there.registry.rollout()
    assert newest is not None
    assert (newest.revision, newest.step) == (3, Step.ROLLED_BACK)
    assert_told_once(there)


STEPS: list[Callable[[Production, int], object]] = [
    lambda there, n: there.controller(f"c{n}").look(),
    lambda there, n: there.steering().take(Manual.PAUSE, actor="ada", reason=f"{n}"),
    lambda there, n: there.steering().take(Manual.RESUME, actor="ada", reason=f"{n}"),
    lambda there, n: there.steering(Dying(there.registry, before=False)).take(Manual.PAUSE, actor="bob", reason="x"),
    lambda there, n: there.controller(f"c{n}", registry=Dying(there.registry, before=False)).look(),
    lambda there, n: there.controller(f"c{n}", database=Halting(there.database, n % 3)).look(),
    lambda there, n: there.judge.moves.append((advances, promotes, rolls_back)[n % 3]),
]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.integers(0, len(STEPS) - 1), max_size=10))
def test_whatever_happens_in_whatever_order_each_revision_is_told_of_once(
    database: Database, tmp_path_factory: pytest.TempPathFactory, chosen: list[int]
) -> None:
    there = production(database, tmp_path_factory.mktemp("registry"))
    there.clock.now += timedelta(days=len(told(database)))  # examples share the database; no two share a moment
    before = len(told(database))
    there.begin()
    for number, step in enumerate(chosen):
        there.clock.now += timedelta(minutes=1)
        try:
            STEPS[step](there, number)
        except (Died, ServicesError, NotAllowedStep):  # the last: what the judge wanted was not possible
            continue
    there.judge.moves.clear()
    there.clock.now += timedelta(minutes=1)
    there.controller("last").look()
    assert told(database)[before:] == of_history(there)


def test_two_that_tell_at_once_tell_once(there: Production) -> None:
    there.begin()
    together, failed = Barrier(4), list[BaseException]()

    def tell() -> None:
        journal = there.journal(there.steering().revisions)
        together.wait(10)
        try:
            journal.catch_up(there.clock.now)
        except BaseException as error:
            failed.append(error)

    threads = [Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert_told_once(there)


def test_a_long_history_that_nobody_told_of_is_told_of_whole(there: Production) -> None:
    there.begin()
    steering = there.steering(Dying(there.registry, before=False))
    for number in range(75):
        with pytest.raises(Died):
            steering.take((Manual.PAUSE, Manual.RESUME)[number % 2], actor="ada", reason=f"{number}")
    there.controller().look()
    assert len(told(there.database)) == 77
    assert_told_once(there)


@pytest.mark.parametrize(
    ("error", "kind"), [(UnreachableError("no answer"), TransientError), (UntrustedError("changed"), ServicesError)]
)
def test_a_registry_that_is_away_is_tried_again(there: Production, error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as raised:
        there.controller(registry=Broken(error)).look()
    assert isinstance(raised.value, TransientError) == (kind is TransientError)


# What people do


def test_a_person_moves_the_rollout_with_a_reason(there: Production) -> None:
    there.begin()
    steering = there.steering()
    paused = steering.take(Manual.PAUSE, actor="ada", reason="  let me\nlook  ", seen=2)
    assert (paused.revision, paused.paused, paused.reason) == (3, True, "let me look")
    assert told(there.database)[-1] == ("ada", "rollout.paused", "rollout/3")
    resumed = steering.take(Manual.RESUME, actor="ada", reason="seen", seen=3)
    promoted = steering.take(Manual.PROMOTE, actor="ada", reason="urgent")
    assert (resumed.paused, promoted.stable) == (False, CANDIDATE)
    back = steering.take(Manual.ROLL_BACK, actor="bob", reason="it was not good")
    assert (back.stable, back.revision) == (STABLE, 6)
    assert_told_once(there)


def test_the_same_request_again_changes_nothing(there: Production) -> None:
    there.begin()
    once = there.steering().take(Manual.PAUSE, actor="ada", reason="look", seen=2)
    assert there.steering().take(Manual.PAUSE, actor="ada", reason="look ", seen=2) == once
    there.steering().take(Manual.RESUME, actor="bob", reason="seen", seen=3)
    assert there.steering().take(Manual.PAUSE, actor="ada", reason="look", seen=2) == once
    for others in ({"actor": "bob"}, {"reason": "other"}, {"manual": Manual.PROMOTE}):
        given_: dict[str, Any] = {"manual": Manual.PAUSE, "actor": "ada", "reason": "look", "seen": 2, **others}
        with pytest.raises(MovedMeanwhile):
            there.steering().take(**given_)
    assert there.registry.rollout() == there.registry.rollout_history(1)[0]
    assert_told_once(there)


def test_a_request_whose_process_died_is_answered_when_it_comes_again(there: Production) -> None:
    there.begin()
    with pytest.raises(Died):
        there.steering(Dying(there.registry, before=False)).take(Manual.PAUSE, actor="ada", reason="x", seen=2)
    assert told(there.database) == []
    assert there.steering().take(Manual.PAUSE, actor="ada", reason="x", seen=2).revision == 3
    assert_told_once(there)


def test_steps_that_are_not_possible_say_why(there: Production) -> None:
    with pytest.raises(NoRolloutError):
        there.steering().take(Manual.PROMOTE, actor="ada", reason="x")
    there.begin()
    with pytest.raises(NotNowError, match="not paused"):
        there.steering().take(Manual.RESUME, actor="ada", reason="x")
    with pytest.raises(NotNowError, match="reason"):
        there.steering().take(Manual.PROMOTE, actor="ada", reason="  ")
    assert len(there.registry.rollout_history(10)) == 2
