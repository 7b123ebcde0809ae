"""Looking at a rollout keeps nobody waiting, however much there is to count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest

from deploy.rollout.policy import Policy
from deploy.rollout.state import Rollout
from detectors.verdict import Arm
from services.rollout.lookout import Lookout, Seen
from services.rollout.revisions import Revisions
from services.store import Database, Transaction, verdicts
from tests.rollout_data import CANDIDATE, Production, production, promotes
from tests.triage_data import event, verdict

LONG = timedelta(seconds=30)


class Slow(Database):
    """A database that reads when it is let go on, and counts how often."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.engine)
        self.go_on = Event()
        self.reads = 0

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        self.reads += 1
        self.go_on.wait(30)
        with super().read() as tx:
            yield tx


@pytest.fixture
def there(database: Database, tmp_path: Path) -> Production:
    made = production(database, tmp_path / "registry")
    started = made.begin()
    judged = verdict(event("c1"), bundle=CANDIDATE, arm=Arm.SHADOW)
    with database.write() as tx:
        verdicts.add(tx, [judged], started.stage_began_at)
    return made


def lookout(there: Production, database: Database, patience: timedelta = LONG) -> Lookout:
    return Lookout(database, Revisions(there.registry), Policy(), lambda: there.clock.now, patience=patience)


def looked(looking: Lookout) -> Seen:
    found = looking.look()
    assert found is not None
    return found


def conversations(seen: Seen) -> int | None:
    return seen.compared.arms[1].conversations if seen.compared else None


def test_who_asks_does_not_wait_for_a_count_that_takes_long(there: Production) -> None:
    slow = Slow(there.database)
    hasty = lookout(there, slow, timedelta(0))
    for _ in range(3):
        assert conversations(looked(hasty)) is None
    slow.go_on.set()
    while conversations(looked(hasty)) is None:
        pass
    assert conversations(looked(hasty)) == 1
    assert slow.reads == 1


def test_many_who_ask_at_once_share_one_count(there: Production) -> None:
    slow = Slow(there.database)
    looking, found = lookout(there, slow), list[int | None]()
    threads = [Thread(target=lambda: found.append(conversations(looked(looking)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    slow.go_on.set()
    for thread in threads:
        thread.join(30)
    assert found == [1] * 8
    assert slow.reads == 1


def test_it_counts_again_after_a_while_and_sees_every_move_at_once(there: Production) -> None:
    looking = lookout(there, there.database)
    assert conversations(looked(looking)) == 1
    there.clock.now += timedelta(seconds=10)
    with there.database.write() as tx:
        verdicts.add(tx, [verdict(event("c2"), bundle=CANDIDATE, arm=Arm.SHADOW)], there.clock.now)
    assert conversations(looked(looking)) == 2
    newest = there.registry.rollout()
    assert isinstance(newest, Rollout)
    there.registry.move(promotes(newest, there.clock()))
    seen = looked(looking)
    assert (seen.rollout.stable, seen.compared, len(seen.history)) == (CANDIDATE, None, 3)


def test_nothing_rolled_out_is_nothing_to_see(database: Database, tmp_path: Path) -> None:
    there = production(database, tmp_path / "registry")
    assert lookout(there, database).look() is None
