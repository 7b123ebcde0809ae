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
from services.store import Database, labels, rollout, verdicts
from services.store.rollout import ArmCounts, Dispositions, PairCounts, Side, Stretch
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


def paired(database: Database, stretch: Stretch = WHOLE) -> PairCounts:
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


def said(database: Database, side: Side, *made: Label) -> Dispositions:
    with database.write() as tx:
        for each in made:
            labels.add(tx, each)
    with database.read() as tx:
        return rollout.dispositions(tx, side, NOW)


def test_an_arm_is_counted_and_nothing_else(database: Database) -> None:
    record(
        database,
        judged(CANARY, "c1", 1, flagged=("deception",), seconds=0.5),
        judged(CANARY, "c1", 2, status=Status.UNSCORED, reason="?", seconds=None),
        judged(CANARY, "c2", 1, status=Status.PARTIAL, reason="?", seconds=0.25),
        judged(CANARY, "c2", 1, tenant="globex"),
        judged(CANARY, "probe", 1, synthetic=True, flagged=("deception",)),
        judged(STABLE, "c3", 1, flagged=("deception",)),
        judged(SHADOW, "c4", 1, flagged=("deception",)),
        judged(Side(Arm.CANARY, "another"), "c5", 1, flagged=("deception",)),
    )
    record(database, judged(CANARY, "c6", 1), at=NOW - timedelta(seconds=1))
    assert counted(database, CANARY) == ArmCounts(4, 3, 1, 2, 0.75, 2)
    assert counted(database, Side(Arm.CANARY, "nobody")) == ArmCounts()


def test_a_conversation_counts_where_the_arm_judged_it_first(database: Database) -> None:
    later = NOW + timedelta(minutes=1)
    record(database, judged(STABLE, "c1", 1), judged(SHADOW, "c2", 1))
    record(database, judged(STABLE, "c1", 2), judged(STABLE, "c2", 2), judged(STABLE, "c3", 1), at=later)
    assert counted(database, STABLE, Stretch(NOW, NOW, later)).conversations == 1
    assert counted(database, STABLE, Stretch(NOW, later)).conversations == 2
    assert counted(database, STABLE).conversations == 3


def test_pairs_are_of_the_same_event_in_the_same_conversation(database: Database) -> None:
    flags: dict[str, Any] = {"flagged": ("deception",)}
    record(
        database,
        *(judged(side, "both", 1, **flags) for side in (STABLE, SHADOW)),
        *(judged(side, "neither", 1) for side in (STABLE, SHADOW)),
        judged(SHADOW, "candidate", 1, **flags),
        judged(STABLE, "candidate", 1),
        judged(SHADOW, "stable", 1),
        judged(STABLE, "stable", 1, **flags),
        judged(SHADOW, "alone", 1, **flags),
        judged(STABLE, "elsewhere", 1, tenant="globex"),
        judged(SHADOW, "elsewhere", 1),
        *(judged(side, "probe", 1, synthetic=True, **flags) for side in (STABLE, SHADOW)),
    )
    assert paired(database) == PairCounts(both=1, neither=1, only_candidate=1, only_stable=1)


def test_a_pair_counts_once_whichever_verdict_comes_last_and_whenever(database: Database) -> None:
    later = NOW + timedelta(minutes=1)
    record(database, judged(STABLE, "c1", 1), judged(SHADOW, "c2", 1, flagged=("deception",)))
    record(database, judged(SHADOW, "c1", 1), judged(STABLE, "c2", 1), at=later)
    assert paired(database, Stretch(NOW, NOW, later)) == PairCounts()
    assert paired(database, Stretch(NOW, later)) == PairCounts(neither=1, only_candidate=1)
    record(database, judged(STABLE, "c3", 1), judged(SHADOW, "c3", 1), at=NOW - timedelta(minutes=1))
    assert paired(database) == PairCounts(neither=1, only_candidate=1)


def test_people_speak_of_what_the_arm_flagged(database: Database) -> None:
    flagged = [judged(CANARY, f"c{number}", flagged=("deception",)) for number in range(4)]
    passed, other = judged(CANARY, "passed"), judged(STABLE, "other", flagged=("deception",))
    record(database, *flagged, passed, other)
    again = label(flagged[2], Disposition.CONFIRMED)
    now = said(
        database,
        CANARY,
        label(flagged[0], Disposition.CONFIRMED),
        label(flagged[1], Disposition.DISMISSED),
        again,
        label(flagged[2], Disposition.DISMISSED, at=NOW + timedelta(seconds=1), supersedes=again.label_id),
        label(flagged[3], Disposition.UNSURE),
        label(passed, Disposition.CONFIRMED),
        label(other, Disposition.CONFIRMED),
        label(flagged[3], Disposition.CONFIRMED, at=NOW - timedelta(seconds=1)),
    )
    assert now == Dispositions(confirmed=1, dismissed=2)
    assert said(database, STABLE) == Dispositions(confirmed=1)


def test_what_a_shadow_flagged_is_held_against_what_people_said_all_the_same(database: Database) -> None:
    record(database, judged(STABLE, "c1"), judged(SHADOW, "c1", flagged=("deception",)))
    assert said(database, SHADOW, label(judged(STABLE, "c1"), Disposition.DISMISSED)) == Dispositions(dismissed=1)


def test_a_label_that_was_taken_back_says_nothing(database: Database) -> None:
    made = judged(CANARY, "c1", flagged=("deception",))
    record(database, made)
    first = label(made, Disposition.CONFIRMED)
    assert said(database, CANARY, first) == Dispositions(confirmed=1)
    back = label(made, Disposition.RETRACTED, at=NOW + timedelta(seconds=1), supersedes=first.label_id)
    assert said(database, CANARY, back) == Dispositions()


def test_examples_are_shown_to_who_may_see_their_tenant(database: Database) -> None:
    mine, theirs = judged(CANARY, "c1"), judged(CANARY, "c2", tenant="globex")
    made = [label(mine, Disposition.CONFIRMED), label(theirs, Disposition.CONFIRMED)]
    said(database, CANARY, *made)
    wanted = [each.label_id for each in made] + [uuid4()]
    with database.read() as tx:
        everything = rollout.examples(tx, wanted, None)
        some = rollout.examples(tx, wanted, frozenset({"acme"}))
    assert everything.keys() == set(wanted[:2])
    assert [(each.conversation_id, each.case_id) for each in some.values()] == [("c1", made[0].case_id)]


@pytest.fixture(scope="module")
def many() -> Any:
    """Verdicts that come in any order: (side, conversation, event, flagged, minute)."""
    return st.lists(
        st.tuples(
            st.sampled_from([STABLE, SHADOW]),
            st.sampled_from(["c1", "c2", "c3"]),
            st.integers(0, 3),
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
    for side, conversation, number, flags, minute in data.draw(many):
        mine = sides[0] if side is STABLE else sides[1]
        made = judged(mine, conversation, number, tenant=tenant, flagged=("deception",) if flags else ())
        record(database, made, at=NOW + timedelta(minutes=minute))
    cuts = sorted({0, *data.draw(st.sets(st.integers(1, 5), max_size=4))})
    edges = [NOW + timedelta(minutes=cut) for cut in cuts]
    stretches = [Stretch(NOW, first, until) for first, until in pairwise(edges)] + [Stretch(NOW, edges[-1])]
    with database.read() as tx:
        for side in sides:
            parts = [rollout.arm_counts(tx, side, stretch) for stretch in stretches]
            assert sum(parts, ArmCounts()) == rollout.arm_counts(tx, side, WHOLE)
        pairs = [rollout.pair_counts(tx, *sides, stretch) for stretch in stretches]
        assert sum(pairs, PairCounts()) == rollout.pair_counts(tx, *sides, WHOLE)
