"""Refitting: what people said is learnt, what a deployment's style is alone is not, and the rest is left as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.bundle import Manifest, load_bundle
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import LABELS, MISALIGNMENT
from retrain.evaluation import auroc

if TYPE_CHECKING:
    from retrain.refreshing import Material, Refreshed

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("scikit_learn")]
sparse = pytest.importorskip("scipy.sparse", reason="scipy is missing: install the extra 'retrain'")
pytest.importorskip("onnx", reason="onnx is missing: install the extra 'retrain'")

BUCKETS = 40
OVERALL = LABELS.index(MISALIGNMENT)
NEW, OLD = LABELS.index("sabotage"), LABELS.index("coercion")
TELLING, STYLE = 3, 4


@pytest.fixture(scope="module")
def champion() -> Manifest:
    return load_bundle(DEFAULT_BUNDLE).manifest


def material(*, confirmed: int, dismissed: int, replayed: int = 60, seed: int = 1, told: bool = True) -> Material:
    """Replayed conversations whose old scores are right (coercion), and labels whose old scores say nothing (sabotage).

    In labels bucket `STYLE` is always there; `TELLING` in those that are confirmed, if the words are `told`.
    """
    from retrain.observed import Observed
    from retrain.refreshing import Material

    rng = np.random.default_rng(seed)
    count = replayed + confirmed + dismissed
    deployed = np.arange(count) >= replayed
    positive = np.where(deployed, np.arange(count) < replayed + confirmed, np.arange(count) % 2 == 0)
    owner = np.repeat(np.arange(count), 2)
    counts = (rng.random((2 * count, BUCKETS)) < 0.2).astype(float)
    counts[:, STYLE] = deployed[owner]
    counts[:, TELLING] = told & deployed[owner] & positive[owner] & (rng.random(2 * count) < 0.9)
    truth = np.zeros((count, len(LABELS)), dtype=bool)
    truth[:, OVERALL] = positive
    truth[:, NEW], truth[:, OLD] = positive & deployed, positive & ~deployed
    known = np.where(deployed[owner], 0.0, np.where(positive[owner], 2.0, -2.0))
    screen, encoder = (known[:, None] + rng.normal(size=(2 * count, len(LABELS))) for _ in range(2))
    every = np.ones(2 * count, dtype=bool)
    groups = tuple(f"g{number}" for number in range(count))
    seen = Observed(sparse.csr_matrix(counts), screen, encoder, every, owner, truth, groups)
    return Material(seen, deployed, np.ones(count, dtype=bool))


def refit(found: Material, champion: Manifest) -> Refreshed:
    from retrain.refreshing import Refit, refreshed

    return refreshed(found, champion, Refit())


def judged(new: Refreshed, found: Material, label: str) -> np.ndarray:
    """Probabilities [conversations] that the refreshed bundle gives."""
    seen, column = found.seen, LABELS.index(label)
    screen = new.screens[label].logits(seen, label) if label in new.screens else seen.screen[:, column]
    rows = zip(seen.statistics(screen).tolist(), seen.statistics(seen.encoder[:, column]).tolist(), strict=True)
    return np.asarray([new.decision.heads[label].ensemble.probability(*row) for row in rows])


def test_a_new_behaviour_is_learnt_for_its_category_and_overall_and_the_old_ones_stay(champion: Manifest) -> None:
    new = refit(material(confirmed=30, dismissed=30), champion)
    fresh = material(confirmed=30, dismissed=30, seed=2)
    labels, replayed = fresh.deployed, ~fresh.deployed
    assert set(new.screens) == {"sabotage", MISALIGNMENT}
    for label, rows in (("sabotage", labels), (MISALIGNMENT, labels), (MISALIGNMENT, replayed), ("coercion", replayed)):
        truth = fresh.seen.truth[rows, LABELS.index(label)]
        assert auroc(judged(new, fresh, label)[rows], truth) > 0.9
    flags = judged(new, fresh, MISALIGNMENT) >= new.decision.thresholds[MISALIGNMENT]
    assert flags[labels & fresh.seen.positive].mean() > 0.8
    assert flags[~fresh.seen.positive].mean() < 0.1


def test_a_few_labels_are_heard_among_many_replayed_conversations(champion: Manifest) -> None:
    new = refit(material(confirmed=12, dismissed=12, replayed=200), champion)
    fresh = material(confirmed=30, dismissed=30, seed=2)
    assert auroc(judged(new, fresh, MISALIGNMENT)[fresh.deployed], fresh.seen.positive[fresh.deployed]) > 0.9


@pytest.mark.parametrize(("confirmed", "dismissed"), [(30, 2), (2, 30), (30, 0)])
def test_the_style_of_a_deployment_is_not_taken_for_misbehaviour(
    champion: Manifest, confirmed: int, dismissed: int
) -> None:
    new = refit(material(confirmed=confirmed, dismissed=dismissed, told=False), champion)
    assert not new.screens


def test_words_that_say_nothing_are_not_believed(champion: Manifest) -> None:
    new = refit(material(confirmed=30, dismissed=30, told=False), champion)
    fresh = material(confirmed=30, dismissed=30, told=False, seed=2)
    labels = fresh.deployed
    assert 0.25 < auroc(judged(new, fresh, MISALIGNMENT)[labels], fresh.seen.positive[labels]) < 0.75
    assert auroc(judged(new, fresh, MISALIGNMENT)[~labels], fresh.seen.positive[~labels]) > 0.9


def test_labels_that_nothing_can_be_fitted_to_keep_their_heads(champion: Manifest) -> None:
    new = refit(material(confirmed=30, dismissed=30), champion)
    assert new.decision.heads["goal_drift"] == champion.heads["goal_drift"]
    assert new.decision.thresholds["goal_drift"] == champion.thresholds["goal_drift"]
    assert new.decision.heads.keys() == champion.heads.keys()


def test_too_little_to_calibrate_on_is_refused(champion: Manifest) -> None:
    with pytest.raises(ValueError, match="too few"):
        refit(material(confirmed=6, dismissed=6, replayed=0), champion)


def test_what_the_encoder_was_trained_on_has_no_say_in_the_heads(champion: Manifest) -> None:
    from dataclasses import replace

    found = material(confirmed=40, dismissed=40)
    rows = np.flatnonzero(found.deployed)[::2]
    kept = found.for_heads.copy()
    kept[rows] = False
    encoder = found.seen.encoder.copy()
    other = encoder.copy()
    other[np.isin(found.seen.owner, rows)] = np.nan

    def heads(values: np.ndarray) -> dict[str, Any]:
        return refit(replace(found, seen=replace(found.seen, encoder=values), for_heads=kept), champion).decision.heads

    assert heads(encoder) == heads(other)


@settings(max_examples=25, deadline=None)
@given(
    confirmed=st.integers(6, 30), seed=st.integers(0, 99), limit=st.floats(-6, 3), stopped=st.sampled_from([0.0, 0.1])
)
def test_the_screen_lets_go_on_what_people_confirmed_and_no_less_than_before(
    champion: Manifest, confirmed: int, seed: int, limit: float, stopped: float
) -> None:
    from retrain.refreshing import _pass_logit

    found = material(confirmed=confirmed, dismissed=6, replayed=20, seed=seed)
    new = np.random.default_rng(seed).normal(size=len(found.seen.owner)) * 3
    chosen = _pass_logit(found, new, limit, stopped=stopped)
    passing, before = new >= chosen, found.seen.screen[:, OVERALL] >= limit
    assert passing.sum() >= before.sum()
    people = np.flatnonzero(found.deployed & found.seen.positive)
    through = [passing[found.seen.owner == row].any() for row in people]
    assert np.mean(through) >= 1 - stopped


@settings(max_examples=50, deadline=None)
@given(labels=st.integers(0, 400), pairs=st.integers(0, 400), heaviest=st.floats(1, 8))
def test_labels_and_pairs_count_the_same_as_far_as_one_may_count_so_much(
    labels: int, pairs: int, heaviest: float
) -> None:
    from retrain.refreshing import _half_each

    deployed = np.arange(labels + pairs) < labels
    each = _half_each(deployed, heaviest=heaviest)
    if not labels or not pairs:
        assert (each == 1).all()
        return
    assert each.mean() == pytest.approx(1)
    assert each.max() / each.min() <= heaviest * (1 + 1e-9)
    if max(labels / pairs, pairs / labels) <= heaviest:
        assert each[deployed].sum() == pytest.approx(each[~deployed].sum())


def test_parts_put_together_are_what_they_were(champion: Manifest) -> None:
    from retrain.observed import joined

    whole = material(confirmed=6, dismissed=5, replayed=10).seen
    rows = np.arange(len(whole))
    again = joined([whole.only(rows[:8]), whole.only(rows[8:8]), whole.only(rows[8:])])
    assert again.groups == whole.groups
    np.testing.assert_array_equal(again.owner, whole.owner)
    np.testing.assert_array_equal(again.truth, whole.truth)
    np.testing.assert_allclose(again.mean_counts().toarray(), whole.mean_counts().toarray())
