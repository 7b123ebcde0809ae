"""States of a case, deadlines and cursors."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.severity import Severity
from services.triage.case import DECIDED, WAITING, CaseState, answer_by, decide_by, follows
from services.triage.queue import Cursor


def test_a_case_goes_from_open_over_a_decision_to_its_end_and_back() -> None:
    way = [CaseState.OPEN, CaseState.ACKNOWLEDGED, CaseState.CONFIRMED, CaseState.RESOLVED, CaseState.REGRESSED]
    assert all(follows(before, after) for before, after in pairwise(way))
    assert follows(CaseState.REGRESSED, CaseState.ACKNOWLEDGED)


def test_what_was_merged_away_goes_nowhere() -> None:
    assert not any(follows(CaseState.MERGED, state) for state in CaseState)


@given(st.sampled_from(CaseState), st.sampled_from(CaseState))
def test_nothing_is_decided_about_what_is_over_and_nothing_ends_unseen(before: CaseState, after: CaseState) -> None:
    if before is CaseState.RESOLVED and follows(before, after):
        assert after not in DECIDED
    if before in (CaseState.OPEN, CaseState.REGRESSED):
        assert not follows(before, CaseState.RESOLVED)
    if before not in WAITING | DECIDED and before is not after:
        assert not follows(before, CaseState.OPEN)


def test_graver_cases_have_less_time() -> None:
    opened = datetime(2026, 1, 1, tzinfo=UTC)
    for deadline in (answer_by, decide_by):
        times = [deadline(severity, opened) for severity in Severity]
        assert times == sorted(times)
        assert len(set(times)) == len(times)
    assert all(answer_by(severity, opened) < decide_by(severity, opened) for severity in Severity)


@given(st.integers(0, 99), st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_cursors_come_back(rank: int, opened_at: datetime, case_id: UUID) -> None:
    cursor = Cursor(rank, opened_at, case_id)
    assert Cursor.decoded(cursor.encoded()) == cursor


@given(st.text(max_size=100))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.decoded(text)
