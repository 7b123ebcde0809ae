"""What arms have done, counted in stretches: the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.verdict import Arm, Status, Verdict
from services.store import Database, Store, labels, rollout, verdicts
from services.store.rollout import ArmCounts, PairCounts, Pairs, Said, Side, Stretch
from services.triage.case import Disposition
from services.triage.label import Label, Source
from tests.triage_data import NOW, event, verdict

STABLE, SHADOW, CANARY = Side(Arm.STABLE, "b1"), Side(Arm.SHADOW, "b2"), Side(Arm.CANARY, "b2")
WHOLE = Stretch(NOW, NOW)


def judged(side: Side, conversation: str, number: int = 0, *, tenant: str = "acme", **fields: Any) -> Verdict:
    of = event(conversation, tenant=tenant, event_id=f"{conversation}-{number}")
    return verdict(of, bundle=side.version, arm=side.arm, **{"flagged": (), "evidence": (), **fields})


def record(database: Database, *made: Verdict, at: datetime = NOW) -> None:
    with database.write() as tx:
        verdicts.add(tx, made, at)


def counted(database: Database, side: Side, stretch: Stretch = WHOLE) -> ArmCounts:
    with database.read() as tx:
        return rollout.arm_counts(tx, side, stretch)


def paired(database: Database, stretch: Stretch = WHOLE) -> Pairs:
    with database.read() as tx:
        return rollout.pair_counts(tx, STABLE, SHADOW, stretch)


def label(made: Verdict, disposition: Disposition, *, at: datetime = NOW, supersedes: UUID | None = None) -> Label:
    return Label(
        label_id=uuid4(),
        case_id=uuid4(),
        tenant_id=made.tenant_id,
        conversation_id=made.conversation_id,
        verdict_id=made.verdict_id,
        reviewer="ada",
        disposition=disposition,
        category=None,
        spans=(),
        corrected_answer=None,
        comment=None,
        source=Source.TRIAGE,
        blind=False,
        seconds=None,
        supersedes=supersedes,
        bundle_version=made.bundle_version,
        created_at=at,
    )


def said(database: Database, candidate: Side, *made: Label) -> list[Said]:
    with database.write() as tx:
        for each in made:
            labels.add(tx, each)
    with database.read() as tx:
        return rollout.said(tx, STABLE, candidate, NOW)


FLAGS: dict[str, Any] = {"flagged": ("deception",)}
LACKS: dict[str, Any] = {"status": Status.UNSCORED, "reason": "?"}
LATER = NOW + timedelta(minutes=1)


def test_an_arm_is_counted_by_conversation_and_nothing_else(database: Database) -> None:
    record(
        database,
        judged(CANARY, "c1", 1, seconds=0.5, **FLAGS),
        judged(CANARY, "c1", 2, seconds=None, **LACKS),
        judged(CANARY, "c1", 3, **FLAGS),
        judged(CANARY, "c2", 1, status=Status.PARTIAL, reason="?", seconds=0.25),
        judged(CANARY, "c2", 1, tenant="globex"),
        judged(CANARY, "probe", 1, synthetic=True, **FLAGS),
        judged(STABLE, "c3", 1, **FLAGS),
        judged(SHADOW, "c4", 1, **FLAGS),
        judged(Side(Arm.CANARY, "another"), "c5", 1, **FLAGS),
    )
    record(database, judged(CANARY, "c6", 1), at=NOW - timedelta(seconds=1))
    assert counted(database, CANARY) == ArmCounts(5, 3, 1, 2, 2, 0.75, 0.3125)
    assert counted(database, Side(Arm.CANARY, "nobody")) == ArmCounts()


def test_what_a_canary_could_not_score_is_held_against_it_though_the_stable_version_decided(database: Database) -> None:
    record(
        database,
        judged(SHADOW, "failed", 1, **LACKS),
        judged(STABLE, "failed", 1),
        judged(SHADOW, "late from the stage before", 1),
        judged(CANARY, "fine", 1),
    )
    now = counted(database, CANARY)
    assert (now.events, now.conversations, now.incomplete) == (2, 2, 1)


def test_a_conversation_counts_where_the_arm_judged_and_flagged_it_first(database: Database) -> None:
    record(database, judged(STABLE, "c1", 1), judged(STABLE, "c2", 1, **FLAGS), judged(SHADOW, "c3", 1))
    record(
        database,
        judged(STABLE, "c1", 2, **FLAGS),
        judged(STABLE, "c2", 2, **FLAGS),
        judged(STABLE, "c3", 2, **LACKS),
        at=LATER,
    )
    first, second = counted(database, STABLE, Stretch(NOW, NOW, LATER)), counted(database, STABLE, Stretch(NOW, LATER))
    assert (first.events, first.conversations, first.flagged, first.incomplete) == (2, 2, 1, 0)
    assert (second.events, second.conversations, second.flagged, second.incomplete) == (3, 1, 1, 1)


def test_pairs_are_of_events_that_both_judged(database: Database) -> None:
    record(
        database,
        *(judged(side, "both", 1, **FLAGS) for side in (STABLE, SHADOW)),
        judged(STABLE, "both by different events", 1, **FLAGS),
        judged(SHADOW, "both by different events", 1),
        judged(STABLE, "both by different events", 2),
        judged(SHADOW, "both by different events", 2, **FLAGS),
        *(judged(side, "neither", 1) for side in (STABLE, SHADOW)),
        judged(SHADOW, "candidate", 1, **FLAGS),
        judged(STABLE, "candidate", 1, **LACKS),
        judged(SHADOW, "stable", 1),
        judged(STABLE, "stable", 1, **FLAGS),
        judged(STABLE, "neither", 2, **FLAGS),
        judged(SHADOW, "alone", 1, **FLAGS),
        judged(STABLE, "elsewhere", 1, tenant="globex"),
        judged(SHADOW, "elsewhere", 1),
        *(judged(side, "probe", 1, synthetic=True, **FLAGS) for side in (STABLE, SHADOW)),
    )
    assert paired(database) == Pairs(
        PairCounts(both=2, only_candidate=1, only_stable=1, neither=1), PairCounts(only_stable=1, neither=4)
    )


def test_a_pair_counts_when_its_second_verdict_is_there(database: Database) -> None:
    record(database, judged(STABLE, "c1", 1), judged(SHADOW, "c2", 1, **FLAGS))
    record(database, judged(SHADOW, "c1", 1), judged(STABLE, "c2", 1), at=LATER)
    assert paired(database, Stretch(NOW, NOW, LATER)) == Pairs()
    assert paired(database, Stretch(NOW, LATER)).flagged == PairCounts(only_candidate=1, neither=1)
    record(database, judged(STABLE, "c3", 1), judged(SHADOW, "c3", 1), at=NOW - timedelta(minutes=1))
    assert paired(database).flagged == PairCounts(only_candidate=1, neither=1)


def test_a_conversation_that_changes_sides_is_taken_from_where_it_was(database: Database) -> None:
    record(database, judged(STABLE, "c1", 1), judged(SHADOW, "c1", 1, **FLAGS))
    record(database, judged(STABLE, "c1", 2, **FLAGS), judged(SHADOW, "c1", 2), at=LATER)
    assert paired(database, Stretch(NOW, LATER)).flagged == PairCounts(both=1, only_candidate=-1)
    assert paired(database).flagged == PairCounts(both=1)


def test_people_speak_of_what_the_arms_judged_and_flagged(database: Database) -> None:
    record(
        database,
        judged(STABLE, "caught", **FLAGS),
        judged(SHADOW, "caught", **FLAGS),
        judged(STABLE, "missed", **FLAGS),
        judged(SHADOW, "missed"),
        judged(STABLE, "alone", **FLAGS),
        judged(SHADOW, "new", **FLAGS),
        judged(STABLE, "sample"),
    )
    record(database, judged(STABLE, "before", **FLAGS), at=NOW - timedelta(seconds=1))
    about = {name: judged(STABLE, name) for name in ("caught", "missed", "alone", "new", "sample", "before")}
    now = said(
        database,
        SHADOW,
        *(
            label(of, Disposition.DISMISSED if name == "new" else Disposition.CONFIRMED, at=NOW + timedelta(seconds=n))
            for n, (name, of) in enumerate(about.items())
        ),
        label(about["caught"], Disposition.UNSURE),
        label(judged(STABLE, "too early"), Disposition.CONFIRMED, at=NOW - timedelta(seconds=1)),
    )
    assert now == [
        Said(confirmed=True, by_stable=True, by_candidate=True, candidate_judged=True),
        Said(confirmed=True, by_stable=True, by_candidate=False, candidate_judged=True),
        Said(confirmed=True, by_stable=True, by_candidate=False, candidate_judged=False),
        Said(confirmed=False, by_stable=False, by_candidate=True, candidate_judged=True),
        Said(confirmed=True, by_stable=False, by_candidate=False, candidate_judged=False),
        Said(confirmed=True, by_stable=False, by_candidate=False, candidate_judged=False),
    ]


def test_what_was_taken_back_or_changed_counts_as_it_stands(database: Database) -> None:
    made = [judged(CANARY, f"c{number}", **FLAGS) for number in range(2)]
    record(database, *made)
    first, second = (label(each, Disposition.CONFIRMED) for each in made)
    assert [each.confirmed for each in said(database, CANARY, first, second)] == [True, True]
    back = label(made[0], Disposition.RETRACTED, at=LATER, supersedes=first.label_id)
    other = label(made[1], Disposition.DISMISSED, at=LATER, supersedes=second.label_id)
    assert [each.confirmed for each in said(database, CANARY, back, other)] == [False]
    assert [each.confirmed for each in said(database, CANARY, label(made[1], Disposition.CONFIRMED, at=NOW))] == [False]


def test_cases_are_found_for_who_may_see_their_tenant(database: Database) -> None:
    store = Store(database.engine)
    store.record([verdict(event("c1")), verdict(event("c1", tenant="globex"))], [], now=NOW)
    wanted = [("acme", "c1"), ("globex", "c1"), ("acme", "unknown"), *(("acme", f"x{n}") for n in range(1200))]
    with database.read() as tx:
        assert rollout.cases_of(tx, wanted, None).keys() == {("acme", "c1"), ("globex", "c1")}
        assert rollout.cases_of(tx, wanted, frozenset({"acme"})).keys() == {("acme", "c1")}


@pytest.fixture(scope="module")
def many() -> Any:
    """Verdicts that come in any order: (side, conversation, event, flagged, unscored, minute)."""
    return st.lists(
        st.tuples(
            st.sampled_from([STABLE, SHADOW]),
            st.sampled_from(["c1", "c2", "c3"]),
            st.integers(0, 3),
            st.booleans(),
            st.booleans(),
            st.integers(-1, 5),
        ),
        max_size=25,
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_stretches_add_up_to_the_whole(database: Database, many: Any, data: st.DataObject) -> None:
    tenant = uuid4().hex  # what other examples have recorded is left out by its version
    sides = Side(Arm.STABLE, f"s-{tenant}"), Side(Arm.SHADOW, f"c-{tenant}")
    for side, conversation, number, flags, lacks, minute in data.draw(many):
        mine = sides[0] if side is STABLE else sides[1]
        made = judged(mine, conversation, number, tenant=tenant, **(FLAGS if flags else {}), **(LACKS if lacks else {}))
        record(database, made, at=NOW + timedelta(minutes=minute))
    cuts = sorted({0, *data.draw(st.sets(st.integers(1, 5), max_size=4))})
    edges = [NOW + timedelta(minutes=cut) for cut in cuts]
    stretches = [Stretch(NOW, first, until) for first, until in pairwise(edges)] + [Stretch(NOW, edges[-1])]
    with database.read() as tx:
        for side in sides:
            parts = [rollout.arm_counts(tx, side, stretch) for stretch in stretches]
            assert sum(parts, ArmCounts()) == rollout.arm_counts(tx, side, WHOLE)
        pairs = [rollout.pair_counts(tx, *sides, stretch) for stretch in stretches]
        assert sum(pairs, Pairs()) == rollout.pair_counts(tx, *sides, WHOLE)
