"""What labels tell of all traffic: intervals that hold, also where nothing was found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.triage.case import Disposition
from services.triage.estimates import Estimate, Quality, Tally, quality, wilson

tallies = st.integers(0, 400).flatmap(lambda of: st.integers(0, of).map(lambda found: Tally(found, of)))


def estimated(
    audit: Tally, flagged: Tally, *, unflagged: int = 10_000, of_flagged: int = 100, seed: int = 0
) -> Quality:
    return quality(
        audit=audit,
        flagged=flagged,
        flagged_conversations=of_flagged,
        unflagged_conversations=unflagged,
        rng=np.random.default_rng(seed),
        draws=2_000,
    )


@pytest.mark.parametrize(
    ("found", "of", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]
)
def test_wilsons_interval_is_the_published_one(found: int, of: int, low: float, high: float) -> None:
    """Newcombe (1998), table I, method 3."""
    share = wilson(Tally(found, of))
    assert share is not None
    assert (share.low, share.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(tallies)
def test_an_interval_lies_around_its_value_within_0_and_1(tally: Tally) -> None:
    share = wilson(tally)
    assert (share is None) == (tally.decided == 0)
    if share:
        assert 0 <= share.low <= share.value <= share.high <= 1
        assert share.low < share.high


@given(tallies)
def test_what_is_confirmed_is_the_mirror_of_what_is_not(tally: Tally) -> None:
    share, mirrored = wilson(tally), wilson(Tally(tally.decided - tally.confirmed, tally.decided))
    if share and mirrored:
        assert mirrored.low == pytest.approx(1 - share.high)


def test_wilsons_interval_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for truth in (0.02, 0.3, 0.9):
        shares = [wilson(Tally(int(found), 60)) for found in rng.binomial(60, truth, 2_000)]
        assert np.mean([share is not None and share.low <= truth <= share.high for share in shares]) > 0.92


def test_who_is_unsure_has_not_decided() -> None:
    given = [Disposition.CONFIRMED, Disposition.UNSURE, Disposition.DISMISSED, Disposition.CONFIRMED]
    assert Tally.of(given) == Tally(2, 3)
    with pytest.raises(ValueError, match="between"):
        Tally(3, 2)


def test_recall_is_what_was_caught_of_all_there_is() -> None:
    found = estimated(Tally(2, 200), Tally(40, 50))
    assert (found.missed, found.precision) == (wilson(Tally(2, 200)), wilson(Tally(40, 50)))
    assert found.recall is not None
    assert found.recall.value == pytest.approx(80 / (80 + 100))
    assert found.recall.of == 250
    assert 0 < found.recall.low < found.recall.value < found.recall.high < 1


def test_an_audit_that_found_nothing_does_not_prove_that_all_was_caught() -> None:
    small, large = (estimated(Tally(0, audited), Tally(40, 50)).recall for audited in (100, 10_000))
    assert small is not None
    assert large is not None
    assert small.value == large.value == 1
    assert small.low < 0.7 < large.low < 1


def test_without_labels_there_is_no_estimate() -> None:
    assert estimated(Tally(0, 0), Tally(1, 2)) == Quality(None, wilson(Tally(1, 2)), None)
    assert estimated(Tally(1, 2), Tally(0, 0)) == Quality(wilson(Tally(1, 2)), None, None)


def test_detectors_that_flag_nothing_catch_nothing() -> None:
    found = estimated(Tally(1, 100), Tally(0, 0), of_flagged=0)
    assert found.precision is None
    assert found.recall is not None
    assert (found.recall.value, found.recall.low, found.recall.high) == (0, 0, 0)
    assert estimated(Tally(0, 100), Tally(0, 0), of_flagged=0).recall is None  # nothing there to be caught


@given(tallies, tallies, st.integers(0, 10**6), st.integers(0, 10**6))
def test_recall_lies_within_0_and_1_and_falls_with_what_is_missed(
    audit: Tally, flagged: Tally, of_flagged: int, unflagged: int
) -> None:
    found = estimated(audit, flagged, of_flagged=of_flagged, unflagged=unflagged).recall
    assume(found is not None)
    assert found is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    more = estimated(Tally(audit.decided, audit.decided), flagged, of_flagged=of_flagged, unflagged=unflagged).recall
    assert more is None or more.value <= found.value


def test_recalls_interval_holds_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    precision, missed, of_flagged, unflagged = 0.7, 0.004, 300, 20_000
    truth = precision * of_flagged / (precision * of_flagged + missed * unflagged)
    held = []
    for seed in range(300):
        audit = Tally(int(rng.binomial(1_000, missed)), 1_000)
        found = estimated(
            audit, Tally(int(rng.binomial(80, precision)), 80), of_flagged=of_flagged, unflagged=unflagged, seed=seed
        )
        assert isinstance(found.recall, Estimate)
        held.append(found.recall.low <= truth <= found.recall.high)
    assert np.mean(held) > 0.9
