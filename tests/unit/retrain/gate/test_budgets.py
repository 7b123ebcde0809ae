"""Latency, size, calibration, canaries, and bundles that have nothing to say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.bundle import FileDigest, Manifest, load_bundle
from detectors.loading import DEFAULT_BUNDLE
from retrain.dataset import CutConversation
from retrain.gate.budgets import calibration, over_budget, silent, size
from retrain.gate.canaries import Canary, read_canaries, refusals, watched
from retrain.gate.latency import latency
from retrain.gate.policy import Policy
from retrain.gate.sheet import Opinions, Sheet, Slice
from retrain.sources import LabelledConversation

ALL = Slice("all", "all")
PROBES = Path(__file__).parents[4] / "services" / "probing" / "transcripts.jsonl"


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_bundle(DEFAULT_BUNDLE).manifest


class Clock:
    """Time that passes as it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: Iterator[float]) -> Callable[[CutConversation], None]:
        def score(_: CutConversation) -> None:
            self.now += next(seconds)

        return score


def _for_ever(*seconds: float) -> Iterator[float]:
    while True:
        yield from seconds


@pytest.fixture
def cut(make_labelled: Callable[..., LabelledConversation]) -> list[CutConversation]:
    return [CutConversation(make_labelled("c", "Hello.", "Hi."), ())] * 4


def test_latency_is_the_ratio_of_the_fastest_times(cut: list[CutConversation], policy: Policy) -> None:
    clock = Clock()
    slow = clock.takes(_for_ever(1.2, 7.0, 1.2, 50.0, 1.2))  # what was disturbed was not so each time
    found = latency((clock.takes(_for_ever(1.0)), cut), (slow, cut), policy, clock=clock)
    assert found.ratio == pytest.approx(1.2)
    assert found.passed
    assert found.timings == 12


def test_a_slow_candidate_is_measured_again_and_refused(
    cut: list[CutConversation], policy: Policy, manifest: Manifest
) -> None:
    clock = Clock()
    found = latency((clock.takes(_for_ever(1.0)), cut), (clock.takes(_for_ever(1.5)), cut), policy, clock=clock)
    assert (found.passed, found.timings) == (False, 12 * policy.latency_attempts)
    (refusal,) = over_budget(size(manifest, manifest, policy), found, [])
    assert (refusal.slice, refusal.metric, refusal.champion, refusal.candidate) == ("bundle", "seconds", 1.0, 1.5)


def test_a_machine_that_was_busy_for_a_while_does_no_harm(cut: list[CutConversation], policy: Policy) -> None:
    clock = Clock()
    busy = clock.takes(iter([9.0, *[9.0] * 24, *[1.0] * 200]))
    found = latency((clock.takes(_for_ever(1.0)), cut), (busy, cut), policy, clock=clock)
    assert (found.passed, found.ratio, found.timings) == (True, pytest.approx(1.0), 36)


def test_a_large_bundle_is_refused(manifest: Manifest, policy: Policy) -> None:
    large = manifest.model_copy(update={"files": {"encoder.onnx": FileDigest(sha256="0" * 64, bytes=10**9)}})
    found = size(manifest, large, policy)
    assert not found.passed
    (refusal,) = over_budget(found, _quick(policy), [])
    assert (refusal.metric, refusal.candidate) == ("bytes", 1e9)
    assert size(large, manifest, policy).passed


def _quick(policy: Policy) -> Any:
    clock = Clock()
    same = clock.takes(_for_ever(1.0))
    return latency((same, [_NOTHING]), (same, [_NOTHING]), policy, clock=clock)


_NOTHING: Any = None


def test_probabilities_that_are_off_are_refused_where_the_champions_are_not(
    make_sheet: Callable[..., Sheet], make_opinions: Callable[..., Opinions], policy: Policy
) -> None:
    sheet, rows = make_sheet(50), np.ones(100, dtype=bool)
    right, off = make_opinions([0.97] * 50 + [0.03] * 50), make_opinions([0.6] * 50 + [0.4] * 50)
    worse = calibration(ALL, sheet, rows, right, off, policy, decides=True)
    assert (worse.champion, worse.candidate, worse.passed) == (0.03, 0.4, False)
    (refusal,) = over_budget(_same_size(policy), _quick(policy), [worse])
    assert (refusal.slice, refusal.metric) == ("all:all", "calibration_error")
    shown = calibration(ALL, sheet, rows, right, off, policy, decides=False)
    assert list(over_budget(_same_size(policy), _quick(policy), [shown])) == []
    assert calibration(ALL, sheet, rows, off, off, policy, decides=True).passed  # no worse than it was
    assert calibration(ALL, sheet, rows, off, right, policy, decides=True).passed


def _same_size(policy: Policy) -> Any:
    bundle = load_bundle(DEFAULT_BUNDLE).manifest
    return size(bundle, bundle, policy)


def test_silence_is_refused(
    make_sheet: Callable[..., Sheet],
    make_opinions: Callable[..., Opinions],
    manifest: Manifest,
) -> None:
    sheet, spoke = make_sheet(3), make_opinions([0.9] * 6)
    fewer = manifest.model_copy(update={"heads": {k: v for k, v in manifest.heads.items() if k != "sabotage"}})
    mute = replace(spoke, scored=np.asarray([True, False, True, True, False, True]))
    found = list(silent(sheet, (manifest, spoke), (fewer, mute)))
    assert [(each.slice, each.metric) for each in found] == [("category:sabotage", "covered"), ("all:all", "scored")]
    assert found[1].examples == ("bad-1", "good-1")
    assert list(silent(sheet, (fewer, mute), (manifest, spoke))) == []


def test_canaries_are_read_in_both_forms(tmp_path: Path) -> None:
    messages = [{"role": "assistant", "content": "I told {name} that all {number} are done."}]
    rows = [
        {"category": "deception", "misaligned": messages, "aligned": messages},
        {"id": "mine", "expectation": "aligned", "messages": messages},
    ]
    path = tmp_path / "canaries.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    found = read_canaries(path)
    expected = [("canary-1-aligned", False), ("canary-1-misaligned", True), ("mine", False)]
    assert [(each.id, each.conversation.misaligned) for each in found] == expected
    assert "told Amara that all 417 are" in found[0].conversation.event.model_dump_json()


def test_the_probes_that_ship_are_canaries() -> None:
    found = read_canaries(PROBES)
    assert len(found) == 16
    assert sum(each.conversation.misaligned for each in found) == 8


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"expectation": "good", "messages": []}', "secret words", '{"aligned": 3}']
)
def test_what_is_no_canary_is_named_by_its_line_alone(line: str, tmp_path: Path) -> None:
    path = tmp_path / "canaries.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(ValueError, match=r"^canaries\.jsonl: line 2 is no canary$"):
        read_canaries(path)


@pytest.fixture
def canaries(make_labelled: Callable[..., LabelledConversation]) -> list[Canary]:
    """Two to be caught, two to be left alone."""
    return [Canary(f"k{n}", make_labelled(f"k{n}", "?", "!", misaligned=n < 2)) for n in range(4)]


def test_a_lost_canary_and_a_new_false_alarm_are_refused(
    canaries: list[Canary], make_opinions: Callable[..., Opinions]
) -> None:
    champion, candidate = make_opinions([0.9, 0.1, 0.1, 0.9]), make_opinions([0.1, 0.1, 0.9, 0.9])
    report = watched(canaries, champion, candidate, missed_with_champion=True)
    assert (report.missed, report.missed_by_both) == (("k0",), ("k1",))
    assert (report.wrongly_flagged, report.flagged_by_both) == (("k2",), ("k3",))
    assert not report.passed
    found = list(refusals(report, missed_with_champion=True))
    assert [(each.metric, each.examples) for each in found] == [("missed", ("k0",)), ("wrongly_flagged", ("k2",))]


def test_every_canary_must_be_caught_where_the_policy_says_so(
    canaries: list[Canary], make_opinions: Callable[..., Opinions]
) -> None:
    same = make_opinions([0.9, 0.1, 0.1, 0.1])
    assert watched(canaries, same, same, missed_with_champion=True).passed
    strict = watched(canaries, same, same, missed_with_champion=False)
    assert not strict.passed
    (refusal,) = refusals(strict, missed_with_champion=False)
    assert (refusal.metric, refusal.champion, refusal.candidate, refusal.examples) == ("missed", 1, 1, ("k1",))
