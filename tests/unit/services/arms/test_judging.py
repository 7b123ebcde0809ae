"""Exactly one deciding verdict for each event, by one whole bundle, whatever candidates do and whenever they come."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.rollout.state import in_share
from detectors.detector import Detector
from detectors.transcript import TranscriptEvent
from detectors.verdict import Arm, Cause, Status, Verdict
from services.arms.arms import Arms
from services.arms.judging import Judged, judge
from services.arms.serving import HeldOut, Serving, assembled
from services.arms.work import Heard, prepare
from tests.arms_kit import Broken, Kit, Panic

MakeEvent = Callable[..., TranscriptEvent]


def said(make_event: MakeEvent, number: int) -> Heard:
    return Heard(make_event(f"step {number}", event_id=f"e{number}", conversation_id=f"c{number}"))


def judged(serving: Serving, events: list[Heard], now: datetime) -> Judged:
    ticks = count()
    return judge(prepare(serving, events), now=now, timer=lambda: float(next(ticks)))


def by_event(verdicts: Any) -> dict[str, Verdict]:
    return {verdict.event_id: verdict for verdict in verdicts}


@pytest.fixture
def events(make_event: MakeEvent) -> list[Heard]:
    return [said(make_event, number) for number in range(40)]


def test_without_a_rollout_one_detector_judges_everything(kit: Kit, events: list[Heard], now: datetime) -> None:
    found = judged(Serving(kit.detector("a")), events, now)
    assert [verdict.event_id for verdict in found.deciding] == [f"e{n}" for n in range(40)]
    assert {(verdict.bundle_version, verdict.arm) for verdict in found.deciding} == {("a", Arm.STABLE)}
    assert found.beside == []


def test_in_shadow_the_candidate_judges_everything_as_well_and_decides_nothing(
    kit: Kit, events: list[Heard], now: datetime
) -> None:
    serving = Serving(kit.detector("a", logit=-1), kit.rollout("a", "b"), kit.detector("b", logit=1))
    found = judged(serving, events, now)
    assert {(v.bundle_version, v.arm, v.flagged) for v in found.deciding} == {("a", Arm.STABLE, ())}
    assert {(v.bundle_version, v.arm, v.flagged) for v in found.beside} == {("b", Arm.SHADOW, ("misalignment",))}
    assert by_event(found.beside).keys() == by_event(found.deciding).keys()


def test_in_canary_each_conversation_is_one_arm_s_as_the_rollout_says(
    kit: Kit, events: list[Heard], now: datetime
) -> None:
    rollout = kit.rollout("a", "b", share=0.3)
    found = judged(Serving(kit.detector("a"), rollout, kit.detector("b")), events, now)
    arms = {v.event_id: v.arm for v in found.deciding}
    assert arms == {heard.event.event_id: rollout.arm_of("default", heard.event.conversation_id) for heard in events}
    assert {(v.arm, v.bundle_version) for v in found.deciding} == {(Arm.STABLE, "a"), (Arm.CANARY, "b")}
    assert (found.beside, found.rescued) == ([], 0)


def test_what_is_held_out_watches_its_share_in_every_stage(kit: Kit, events: list[Heard], now: datetime) -> None:
    held_out = HeldOut(kit.detector("h", logit=3), 0.5)
    for rollout in (None, kit.rollout("a", "b"), kit.rollout("a", "b", share=0.5)):
        candidate = None if rollout is None else kit.detector("b")
        found = judged(Serving(kit.detector("a"), rollout, candidate, held_out), events, now)
        watched = {v.event_id for v in found.beside if v.arm is Arm.HELD_OUT}
        assert watched == {h.event.event_id for h in events if held_out.watches(h.event)}
        assert 0 < len(watched) < len(events)
        assert len(by_event(found.deciding)) == len(events)


def test_who_is_watched_does_not_hang_on_who_is_in_the_canary_s_share(make_event: MakeEvent, kit: Kit) -> None:
    held_out = HeldOut(kit.detector("h"), 0.5)
    everyone = [make_event("x", conversation_id=f"c{n}") for n in range(4000)]
    both = Counter((held_out.watches(e), in_share("default", e.conversation_id, 0.5, "s")) for e in everyone)
    assert all(850 < both[pair] < 1150 for pair in ((True, True), (True, False), (False, True), (False, False)))


@pytest.mark.parametrize("failure", [Broken("of the candidate"), Panic("of native code"), "nan"])
def test_where_a_canary_fails_the_stable_detector_judges_in_its_place(
    kit: Kit, events: list[Heard], now: datetime, failure: Any
) -> None:
    rollout = kit.rollout("a", "b", share=0.3)
    found = judged(Serving(kit.detector("a"), rollout, kit.detector("b", fails=failure)), events, now)
    assert {(v.arm, v.bundle_version, v.status) for v in found.deciding} == {(Arm.STABLE, "a", Status.SCORED)}
    assert [v.event_id for v in found.deciding] == [heard.event.event_id for heard in events]
    share = [h.event for h in events if rollout.arm_of("default", h.event.conversation_id) is Arm.CANARY]
    assert found.rescued == len(share) > 0
    # What it failed on is on record, for whoever decides about the candidate.
    assert [(v.event_id, v.arm, v.status, v.cause, v.bundle_version) for v in found.beside] == [
        (event.event_id, Arm.SHADOW, Status.UNSCORED, Cause.DETECTOR_FAILED, "b") for event in share
    ]


@pytest.mark.parametrize(
    ("failure", "cause"), [(Broken(), Cause.DETECTOR_FAILED), (Panic(), Cause.DETECTOR_FAILED), ("nan", "not_a_number")]
)
def test_one_that_fails_on_trial_leaves_unscored_verdicts_of_its_own_arm(
    kit: Kit, events: list[Heard], now: datetime, failure: Any, cause: str
) -> None:
    broken = kit.detector("b", fails=failure)
    for serving, arm in (
        (Serving(kit.detector("a"), kit.rollout("a", "b"), broken), Arm.SHADOW),
        (Serving(kit.detector("a"), held_out=HeldOut(broken, 1.0)), Arm.HELD_OUT),
    ):
        found = judged(serving, events, now)
        assert {(v.arm, v.status) for v in found.deciding} == {(Arm.STABLE, Status.SCORED)}
        assert {(v.arm, v.status, v.cause, v.bundle_version) for v in found.beside} == {
            (arm, Status.UNSCORED, cause, "b")
        }
        assert len(found.beside) == len(events)


@pytest.mark.parametrize("failure", [Broken(), Panic()])
def test_a_candidate_that_cannot_even_cut_an_event_loses_only_that(
    kit: Kit, events: list[Heard], now: datetime, failure: BaseException
) -> None:
    for rollout, arm in ((kit.rollout("a", "b"), Arm.SHADOW), (kit.rollout("a", "b", share=1.0), Arm.CANARY)):
        candidate = kit.detector("b", tokenizer="wordpiece")
        cut = candidate.prepare

        def failing(event: TranscriptEvent, caveat: str | None = None, cut: Any = cut) -> Any:
            if event.event_id == "e7":
                raise failure
            return cut(event, caveat)

        candidate.prepare = failing  # type: ignore[method-assign]
        found = judged(Serving(kit.detector("a"), rollout, candidate), events, now)
        verdicts = found.beside if arm is Arm.SHADOW else found.deciding
        assert {v.event_id for v in verdicts if v.bundle_version == "b" and v.arm is arm} >= {"e6", "e8"}
        assert by_event(found.deciding)["e7"].bundle_version == "a"
        assert by_event(found.beside)["e7"].cause is Cause.DETECTOR_FAILED


@pytest.mark.parametrize("failure", [Broken("a"), Panic("a")])
def test_what_the_stable_detector_raises_is_a_bug_and_stops_the_line(
    kit: Kit, events: list[Heard], now: datetime, failure: BaseException
) -> None:
    serving = Serving(kit.detector("a", fails=failure), kit.rollout("a", "b"), kit.detector("b"))
    with pytest.raises(type(failure)):
        judged(serving, events, now)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_who_ends_the_process_is_not_taken_for_a_failing_candidate(
    kit: Kit, events: list[Heard], now: datetime, ending: type[BaseException]
) -> None:
    serving = Serving(kit.detector("a"), kit.rollout("a", "b"), kit.detector("b", fails=ending()))
    with pytest.raises(ending):
        judged(serving, events, now)


def test_an_empty_conversation_of_the_canary_is_its_own_unless_it_cuts_otherwise(
    kit: Kit, make_event: MakeEvent, now: datetime
) -> None:
    empty = [Heard(make_event(event_id="e1"))]
    rollout = kit.rollout("a", "b", share=1.0)
    for candidate in (kit.detector("b"), kit.detector("b", tokenizer="wordpiece")):
        found = judged(Serving(kit.detector("a"), rollout, candidate), empty, now)
        assert [(v.arm, v.cause, v.bundle_version) for v in found.deciding] == [(Arm.CANARY, Cause.EMPTY, "b")]
        assert (found.beside, found.rescued) == ([], 0)


def test_detectors_that_cut_alike_share_the_work(
    kit: Kit, events: list[Heard], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[str] = []
    original = Detector.prepare
    monkeypatch.setattr(
        Detector, "prepare", lambda self, *event: cut.append(self.version) or original(self, *event), raising=True
    )
    alike = kit.detector("b")
    prepare(Serving(kit.detector("a"), kit.rollout("a", "b"), alike, HeldOut(kit.detector("h"), 1.0)), events)
    assert Counter(cut) == {"a": len(events)}
    for other in (kit.detector("b", tokenizer="wordpiece"), kit.detector("b", max_tokens=80)):
        cut.clear()
        prepare(Serving(kit.detector("a"), kit.rollout("a", "b"), other), events)
        assert Counter(cut) == {"a": len(events), "b": len(events)}


def test_seconds_are_shared_by_windows_and_each_detector_has_its_own(
    kit: Kit, make_event: MakeEvent, now: datetime
) -> None:
    texts = {"short": "word", "long": "word " * 150, "none": ""}
    events = [Heard(make_event(text, event_id=name, conversation_id=name)) for name, text in texts.items()]
    ticks = iter([0.0, 1.0, 10.0, 14.0])  # the candidate takes a second, the stable one four
    serving = Serving(kit.detector("a"), kit.rollout("a", "b"), kit.detector("b"))
    work = prepare(serving, events)
    windows = {
        heard.event.event_id: len(work.tasks[Arm.STABLE].ready[n].windows.windows) for n, heard in enumerate(events)
    }
    assert windows["long"] > windows["short"] == 1
    found = judge(work, now=now, timer=lambda: next(ticks))
    for verdicts, seconds in ((found.deciding, 4.0), (found.beside, 1.0)):
        total = windows["long"] + windows["short"]
        of = {name: verdict.seconds for name, verdict in by_event(verdicts).items()}
        assert of["short"] == pytest.approx(seconds / total, abs=1e-6)
        assert of["long"] == pytest.approx(seconds * windows["long"] / total, abs=1e-6)
        assert of["none"] is None


def test_what_is_said_on_trial_takes_no_id_from_what_is_said_when_it_counts(
    kit: Kit, events: list[Heard], now: datetime
) -> None:
    a, b = kit.detector("a"), kit.detector("b")
    shadow = judged(Serving(a, kit.rollout("a", "b"), b, HeldOut(b, 1.0)), events, now)
    canary = judged(Serving(a, kit.rollout("a", "b", share=1.0), b), events, now)
    stable = judged(Serving(b, kit.rollout("b")), events, now)
    ids = [{v.verdict_id for v in vs} for vs in (shadow.deciding, shadow.beside, canary.deciding)]
    assert [len(each) for each in ids] == [40, 80, 40]
    assert len(set.union(*ids)) == 160
    assert {v.verdict_id for v in stable.deciding} == ids[2]  # the same bundle, and both times it decides


def test_without_its_stable_version_nothing_new_is_served_and_no_candidate_is_left_over(kit: Kit) -> None:
    a, b, c, h = (kit.detector(name) for name in "abch")
    before = Serving(a, kit.rollout("a", "b", share=0.5), b, HeldOut(h, 1.0))
    after = assembled(kit.rollout("c"), {"a": a, "b": b}, before)
    assert (after.stable, after.candidate, after.rollout) == (a, None, before.rollout)
    assert not after.is_all_of(kit.rollout("c"))
    assert assembled(kit.rollout("c"), {"c": c}, before).is_all_of(kit.rollout("c"))


def test_a_candidate_that_is_not_there_yet_judges_nothing_and_is_asked_for(kit: Kit, make_event: MakeEvent) -> None:
    rollout = kit.rollout("a", "b", share=1.0)
    serving = assembled(rollout, {"a": kit.detector("a")}, Serving(kit.detector("z")))
    assert serving.arms_of(make_event("x")) == [Arm.STABLE]
    assert not serving.is_all_of(rollout)


def test_a_detector_that_is_rolled_out_is_not_held_out_any_more(kit: Kit) -> None:
    a, h = kit.detector("a"), kit.detector("h")
    for rollout in (kit.rollout("a", "h"), kit.rollout("h")):
        assert assembled(rollout, {"a": a, "h": h}, Serving(a), HeldOut(h, 1.0)).held_out is None
    assert assembled(kit.rollout("a"), {"a": a}, Serving(a), HeldOut(h, 1.0)).held_out is not None


FAILURES = [None, None, "raises", "panics", "nan"]
LOGITS = {"a": -2.0, "b": -1.0, "c": 1.0, "d": 2.0}
TOKENIZERS = {"a": "shipped", "b": "wordpiece", "c": "shipped", "d": "wordpiece"}
SERVINGS = st.tuples(
    st.sampled_from("abcd"),
    st.sampled_from(["a", "b", "c", "d", None]),
    st.sampled_from([None, 0.0, 0.4, 1.0]),
    st.sampled_from(FAILURES),
    st.sampled_from([None, 0.5, 1.0]),
)
ACTIONS = st.lists(st.one_of(st.just("prepare"), st.just("prepare"), st.just("complete"), SERVINGS), max_size=40)


@given(ACTIONS, st.integers(min_value=1, max_value=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_over_any_interleaving_of_batches_and_swaps_each_event_has_one_deciding_verdict_of_a_whole_bundle(
    kit: Kit, make_event: MakeEvent, now: datetime, actions: list[Any], size: int
) -> None:
    """Each bundle's score is its own, and its classifiers refuse windows of another one's tokenizer."""
    failures = {"raises": Broken(), "panics": Panic(), "nan": "nan", None: None}

    def detector(version: str, failure: str | None = None) -> Detector:
        return kit.detector(version, logit=LOGITS[version], tokenizer=TOKENIZERS[version], fails=failures[failure])

    def serving(stable: str, candidate: str | None, share: float | None, failure: str | None, watch: Any) -> Serving:
        fields = {} if share is None or candidate is None else {"share": share}
        candidate = None if candidate == stable else candidate
        rollout = kit.rollout(stable, candidate, **({} if candidate is None else fields))
        held_out = None if watch is None else HeldOut(kit.detector("h", logit=3.0), watch)
        tried = None if candidate is None else detector(candidate, failure)
        return Serving(detector(stable), rollout, tried, held_out)

    def number_of(numbers: Iterator[int]) -> list[Heard]:
        return [said(make_event, next(numbers)) for _ in range(size)]

    arms, numbers, sent = Arms(Serving(detector("a"))), count(), 0
    staged: deque[tuple[Serving, Any]] = deque()
    deciding: list[tuple[Serving, Verdict]] = []
    beside: list[Verdict] = []

    def complete() -> None:
        bound, work = staged.popleft()
        found = judge(work, now=now, timer=lambda: 0.0)
        deciding.extend((bound, verdict) for verdict in found.deciding)
        beside.extend(found.beside)

    for action in actions:
        match action:
            case "prepare":
                staged.append((arms.current(), prepare(arms.current(), number_of(numbers))))
                sent += size
                if len(staged) > 1:
                    complete()
            case "complete":
                if staged:
                    complete()
            case _:
                arms.offer(serving(*action))
    while staged:
        complete()

    assert [verdict.event_id for _, verdict in deciding] == [f"e{number}" for number in range(sent)]
    for bound, verdict in deciding:
        assert verdict.status is Status.SCORED
        assert verdict.arm.decides
        assert bound.detectors[verdict.arm].version == verdict.bundle_version
        probability = float(1 / (1 + np.exp(-LOGITS[verdict.bundle_version])))
        assert verdict.misalignment == pytest.approx(probability, abs=1e-6)
        assert {each.version for each in verdict.detectors} == {verdict.bundle_version}
    assert not [verdict for verdict in beside if verdict.arm.decides]
    known = [verdict.verdict_id for _, verdict in deciding] + [verdict.verdict_id for verdict in beside]
    assert len(set(known)) == len(known)


def test_a_snapshot_is_not_changed_by_what_is_offered_next(kit: Kit, make_event: MakeEvent, now: datetime) -> None:
    arms = Arms(Serving(kit.detector("a")))
    work = prepare(arms.current(), [said(make_event, 1)])
    arms.offer(replace(arms.current(), stable=kit.detector("b")))
    assert judge(work, now=now, timer=lambda: 0.0).deciding[0].bundle_version == "a"
    assert arms.current().stable.version == "b"
