from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.calibration import Head
from detectors.ensemble import Cascade, CascadeResult
from detectors.evidence import TOP_TOKENS
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.windows import Window

CALM, ALARM, WRECK = 2000, 3000, 4000
OVERALL, SABOTAGE = LABELS.index(MISALIGNMENT), LABELS.index("sabotage")


@pytest.fixture
def screen(token_classifier: Callable[..., Any]) -> Any:
    """Logit -4, and 5 more for each ALARM."""
    return token_classifier({ALARM: {MISALIGNMENT: 5.0}}, name="screen")


@pytest.fixture
def encoder(token_classifier: Callable[..., Any]) -> Any:
    return token_classifier({WRECK: {"sabotage": 6.0, MISALIGNMENT: 3.0}}, name="encoder")


def test_only_windows_past_the_screen_reach_the_encoder(
    make_cascade: Callable[..., Cascade], make_window: Callable[..., Window], screen: Any, encoder: Any
) -> None:
    conversations = [[make_window([CALM]), make_window([ALARM])], [make_window([CALM, WRECK])]]
    scores = make_cascade(screen, encoder).score(conversations).scores
    assert (scores.windows_screened, scores.windows_encoded) == (3, 1)
    assert encoder.windows_seen == [(101, ALARM, 102)]
    assert scores.screen.largest[:, OVERALL].tolist() == [1, -4]
    assert scores.encoder.largest[0, OVERALL] == -4
    assert np.isneginf(scores.encoder.statistics()[1]).all()


@pytest.mark.parametrize(("pass_logit", "encoded"), [(0.999, 1), (1.0, 1), (1.001, 0), (-4.0, 2), (-100.0, 2)])
def test_a_window_passes_at_the_pass_logit_or_above(
    make_cascade: Callable[..., Cascade],
    make_window: Callable[..., Window],
    screen: Any,
    encoder: Any,
    pass_logit: float,
    encoded: int,
) -> None:
    cascade = make_cascade(screen, encoder, pass_logit=pass_logit)
    assert cascade.score([[make_window([CALM]), make_window([ALARM])]]).scores.windows_encoded == encoded


def windows_of(make_window: Callable[..., Window], count: int) -> list[Window]:
    return [make_window([CALM + number, CALM]) for number in range(count)]


@pytest.mark.parametrize(("share", "audited"), [(0.0, 0), (1.0, 200)])
def test_all_or_nothing_is_drawn_for_audit(
    make_cascade: Callable[..., Cascade],
    make_window: Callable[..., Window],
    screen: Any,
    encoder: Any,
    share: float,
    audited: int,
) -> None:
    result = make_cascade(screen, encoder, pass_logit=99, audit_share=share).score([windows_of(make_window, 200)])
    assert result.audit.shape == (audited, len(LABELS))
    assert len(encoder.windows_seen) == audited
    assert result.scores.windows_encoded == 0


def test_the_audit_takes_what_the_screen_stopped_and_changes_no_score(
    make_cascade: Callable[..., Cascade], make_window: Callable[..., Window], screen: Any, encoder: Any
) -> None:
    conversations = [[make_window([ALARM]), make_window([WRECK])], [make_window([CALM, WRECK])]]
    without, audited = (make_cascade(screen, encoder, audit_share=share).score(conversations) for share in (0.0, 1.0))
    assert audited.audit[:, SABOTAGE].tolist() == [2, 2]
    np.testing.assert_array_equal(audited.screen_statistics, without.screen_statistics)
    np.testing.assert_array_equal(audited.encoder_statistics, without.encoder_statistics)
    assert strongest(audited, 0, SABOTAGE) == strongest(without, 0, SABOTAGE)
    assert strongest(audited, 1, OVERALL) == strongest(without, 1, OVERALL)


def test_the_audit_draws_the_same_windows_each_time_whatever_comes_with_them(
    make_cascade: Callable[..., Cascade], make_window: Callable[..., Window], screen: Any, encoder: Any
) -> None:
    cascade = make_cascade(screen, encoder, pass_logit=99, audit_share=0.25)
    windows = windows_of(make_window, 400)
    cascade.score([windows])
    at_once = set(encoder.windows_seen)
    assert 50 < len(at_once) < 150  # 100 expected; the draw is by content, so this is no matter of luck
    encoder.windows_seen.clear()
    for window in reversed(windows):
        cascade.score([[window]])
    assert set(encoder.windows_seen) == at_once


def test_a_larger_audit_share_draws_all_that_a_smaller_one_does(
    make_cascade: Callable[..., Cascade], make_window: Callable[..., Window], screen: Any, encoder: Any
) -> None:
    drawn = []
    for share in (0.1, 0.5):
        encoder.windows_seen.clear()
        make_cascade(screen, encoder, pass_logit=99, audit_share=share).score([windows_of(make_window, 200)])
        drawn.append(set(encoder.windows_seen))
    assert drawn[0] < drawn[1]


def test_a_screen_that_gives_no_number_shows_in_the_scores(
    make_cascade: Callable[..., Cascade],
    make_window: Callable[..., Window],
    token_classifier: Callable[..., Any],
    encoder: Any,
) -> None:
    broken = token_classifier({ALARM: {MISALIGNMENT: float("nan")}})
    scores = make_cascade(broken, encoder).score([[make_window([ALARM]), make_window([CALM])], [make_window([CALM])]])
    assert np.isnan(scores.screen_statistics[0, OVERALL]).any()
    assert np.isfinite(scores.screen_statistics[1]).all()


@pytest.mark.parametrize("conversations", [[], [[]], [[], [], []]])
def test_conversations_without_windows_have_no_scores(
    make_cascade: Callable[..., Cascade], screen: Any, encoder: Any, conversations: list[list[Window]]
) -> None:
    scores = make_cascade(screen, encoder).score(conversations).scores
    assert scores.screen.largest.shape == scores.encoder.largest.shape == (len(conversations), len(LABELS))
    assert np.isneginf(scores.screen.statistics()).all()
    assert scores.windows_screened == 0
    assert screen.windows_seen == []


EVEN = Head(screen=(1.0, 0.0, 0.0), encoder=(1.0, 0.0, 0.0), intercept=0.0)
ENCODER_ALONE = Head(encoder=(1.0, 0.0, 0.0), intercept=0.0)
SCREEN_ALONE = Head(screen=(1.0, 0.0, 0.0), encoder=(0.0, 0.0, 0.0), intercept=0.0)


def strongest(
    result: CascadeResult, conversation: int, label: int, head: Head = ENCODER_ALONE
) -> tuple[list[int], list[int]]:
    """Token ids of the strongest window, and its top tokens of any weight."""
    window, tokens, weights = result.strongest(conversation, label, head)
    assert len(tokens) == len(weights) == TOP_TOKENS
    return window.input_ids.tolist(), window.input_ids[tokens[weights > 0]].tolist()


def test_the_strongest_window_is_of_the_classifier_that_counts(
    make_cascade: Callable[..., Cascade], make_window: Callable[..., Window], screen: Any, encoder: Any
) -> None:
    result = make_cascade(screen, encoder, pass_logit=-9).score([[make_window([ALARM]), make_window([WRECK])]])
    assert strongest(result, 0, OVERALL, SCREEN_ALONE)[1] == [ALARM]
    assert strongest(result, 0, OVERALL, ENCODER_ALONE)[1] == [WRECK]
    assert strongest(result, 0, OVERALL, EVEN)[1] == [ALARM]  # 5 against 3
    stopped = make_cascade(screen, encoder, pass_logit=99).score([[make_window([ALARM])]])
    assert strongest(stopped, 0, OVERALL, ENCODER_ALONE)[1] == [ALARM]


def test_the_strongest_window_is_the_encoders_where_it_saw_one(
    make_cascade: Callable[..., Cascade], make_window: Callable[..., Window], screen: Any, encoder: Any
) -> None:
    conversations = [
        [make_window([ALARM, ALARM]), make_window([CALM, WRECK]), make_window([ALARM, WRECK, CALM])],
        [make_window([CALM]), make_window([CALM, CALM + 1])],
        [make_window([ALARM])],
    ]
    result = make_cascade(screen, encoder).score(conversations)
    assert strongest(result, 0, SABOTAGE) == ([101, ALARM, WRECK, CALM, 102], [WRECK])
    assert strongest(result, 2, SABOTAGE) == ([101, ALARM, 102], [])


def test_the_strongest_window_is_the_screens_where_none_passed(
    make_cascade: Callable[..., Cascade], make_window: Callable[..., Window], screen: Any, encoder: Any
) -> None:
    result = make_cascade(screen, encoder, pass_logit=99).score([[make_window([CALM]), make_window([CALM, ALARM])]])
    assert strongest(result, 0, OVERALL) == ([101, CALM, ALARM, 102], [ALARM])


tokens = st.lists(st.sampled_from([CALM, CALM + 1, ALARM, WRECK]), min_size=1, max_size=6)


@given(st.lists(st.lists(tokens, max_size=4), max_size=5), st.integers(1, 5), st.randoms(use_true_random=False))
def test_batching_and_order_change_no_score(
    make_cascade: Callable[..., Cascade],
    make_window: Callable[..., Window],
    token_classifier: Callable[..., Any],
    said: list[list[list[int]]],
    size: int,
    random: Any,
) -> None:
    screen = token_classifier({ALARM: {MISALIGNMENT: 5.0}})
    encoder = token_classifier({WRECK: {"sabotage": 6.0}})
    conversations = [[make_window(ids) for ids in windows] for windows in said]
    order = random.sample(range(len(said)), len(said))
    one_by_one = [make_cascade(screen, encoder, size=1).score([conversation]) for conversation in conversations]
    together = make_cascade(screen, encoder, size=size).score([conversations[index] for index in order])
    for row, index in enumerate(order):
        alone = one_by_one[index]
        np.testing.assert_array_equal(together.screen_statistics[row], alone.screen_statistics[0])
        np.testing.assert_array_equal(together.encoder_statistics[row], alone.encoder_statistics[0])
        if conversations[index]:
            assert strongest(together, row, SABOTAGE) == strongest(alone, 0, SABOTAGE)
