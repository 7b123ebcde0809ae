from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from detectors.calibration import sigmoid
from detectors.classifier import ClassifierOutput, WindowBatch
from detectors.detector import Detector
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.transcript import TranscriptEvent, part_text
from detectors.verdict import Arm, Stage, Status, Verdict, verdict_id

MakeDetector = Callable[..., Detector]
MakeEvent = Callable[..., TranscriptEvent]
WORDS = {"sabotage": ("wreck", 8.0), "deception": ("lie", 6.0), MISALIGNMENT: ("abuse", 5.0)}
IMAGE = {"type": "image", "data": "x"}


def judge(detector: Detector, *events: TranscriptEvent, now: datetime) -> list[Verdict]:
    return detector.judge([detector.prepare(event) for event in events], now=now).verdicts


def quoted(verdict: Verdict, event: TranscriptEvent) -> list[tuple[str, str]]:
    """(category, the characters that its evidence selects)."""
    found = []
    for span in verdict.evidence:
        message = event.messages[span.message_index - event.first_message]
        assert message.id == span.message_id
        found.append((span.category, (part_text(message.parts[span.part_index]) or "")[span.start : span.end]))
    return found


class TestFlags:
    def test_a_score_at_its_threshold_or_above_is_flagged(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        event = make_event("please", "I will wreck it")
        score = sigmoid(4.0)
        for threshold, flagged in ((score, ("sabotage",)), (math.nextafter(score, 1), ())):
            detector = make_detector(WORDS, thresholds={"sabotage": threshold, MISALIGNMENT: 0.9})
            (verdict,) = judge(detector, event, now=now)
            assert verdict.scores["sabotage"] == round(score, 6)
            assert verdict.flagged == flagged
            assert verdict.thresholds == {"sabotage": threshold, MISALIGNMENT: 0.9}

    def test_the_likeliest_category_comes_first_and_the_overall_label_last(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        (verdict,) = judge(make_detector(WORDS), make_event("lie, abuse and wreck"), now=now)
        assert verdict.flagged == ("sabotage", "deception", MISALIGNMENT)
        assert verdict.misalignment == round(sigmoid(1.0), 6)
        assert MISALIGNMENT not in verdict.scores

    def test_over_refusal_is_scored_and_never_flagged(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        (verdict,) = judge(make_detector({"over_refusal": ("sorry", 12.0)}), make_event("do", "sorry"), now=now)
        assert verdict.scores["over_refusal"] > 0.99
        assert verdict.flagged == ()

    def test_labels_that_the_bundle_does_not_cover_get_no_score(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        detector = make_detector(WORDS, thresholds={"sabotage": 0.5, MISALIGNMENT: 0.5})
        (verdict,) = judge(detector, make_event("I lie and wreck"), now=now)
        assert verdict.scores.keys() == {"sabotage"}
        assert verdict.flagged == ("sabotage",)
        assert set(detector.manifest.uncovered) == set(LABELS) - {"sabotage", MISALIGNMENT}


class TestStages:
    def test_what_the_screen_stops_is_scored_by_the_screen(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        detector = make_detector(WORDS, pass_logit=99)
        judgement = detector.judge([detector.prepare(make_event("wreck"))], now=now)
        (verdict,) = judgement.verdicts
        assert verdict.stage is Stage.SCREEN
        assert verdict.status is Status.SCORED
        assert verdict.misalignment == round(sigmoid(5.0), 6)
        assert [score.name for score in verdict.detectors] == ["screen"]
        assert (judgement.windows_screened, judgement.windows_encoded) == (1, 0)

    def test_what_passes_is_scored_by_the_ensemble_and_names_both_detectors(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        (verdict,) = judge(make_detector(WORDS), make_event("abuse"), now=now)
        assert verdict.stage is Stage.ENSEMBLE
        assert [(score.name, score.score) for score in verdict.detectors] == [
            ("screen", round(sigmoid(5.0), 6)),
            ("encoder", round(sigmoid(1.0), 6)),
        ]


class TestAudit:
    def test_it_counts_what_the_screen_stopped_and_the_encoder_would_have_flagged(
        self, make_detector: MakeDetector, make_event: MakeEvent, token_classifier: Callable[..., Any], now: datetime
    ) -> None:
        blind = token_classifier({}, name="screen")
        events = [make_event("abuse"), make_event("hi"), make_event()]
        verdicts = {}
        for share, audited, missed in ((0.0, 0, 0), (1.0, 2, 1)):
            detector = make_detector(WORDS, screen=blind, audit_share=share)
            judgement = detector.judge([detector.prepare(event) for event in events], now=now)
            assert (judgement.windows_audited, judgement.windows_missed) == (audited, missed)
            assert judgement.windows_encoded == 0
            verdicts[share] = judgement.verdicts
        assert verdicts[0.0] == verdicts[1.0]
        assert verdicts[1.0][0].stage is Stage.SCREEN


class TestUnscored:
    def test_an_empty_conversation(self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime) -> None:
        (verdict,) = judge(make_detector(WORDS), make_event(), now=now)
        assert (verdict.status, verdict.reason) == (Status.UNSCORED, "the conversation is empty")
        assert (verdict.stage, verdict.misalignment, verdict.scores) == (Stage.NONE, None, {})
        assert verdict.evidence == verdict.detectors == verdict.flagged == ()

    def test_only_parts_that_cannot_be_read(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        event = make_event(messages=[{"role": "user", "parts": [IMAGE]}])
        (verdict,) = judge(make_detector(WORDS), event, now=now)
        assert (verdict.status, verdict.reason) == (Status.UNSCORED, "no part of it can be read as text")

    @pytest.mark.parametrize("where", ["screen", "encoder"])
    @pytest.mark.parametrize("broken", [float("nan"), float("inf")])
    def test_a_score_that_is_no_number_and_only_the_events_that_have_one(
        self,
        make_detector: MakeDetector,
        make_event: MakeEvent,
        token_classifier: Callable[..., Any],
        now: datetime,
        where: str,
        broken: float,
    ) -> None:
        classifier = _BrokenOnLongWindows(where, broken)
        detector = make_detector(WORDS, pass_logit=-99, **{where: classifier})
        bad, good = judge(detector, make_event("stop stop stop"), make_event("hello"), now=now)
        assert (bad.status, bad.reason) == (Status.UNSCORED, "a detector gave a score that is not a number")
        assert (bad.misalignment, bad.scores, bad.flagged) == (None, {}, ())
        assert good.status is Status.SCORED


class _BrokenOnLongWindows:
    """A classifier whose overall logit is `broken` for windows of more than five tokens, and 0 for others."""

    version = "fake"

    def __init__(self, name: str, broken: float) -> None:
        self.name = name
        self._broken = broken

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        logits = np.zeros((len(batch), len(LABELS)), dtype=np.float32)
        lengths = batch.attention_mask.sum(axis=1)
        logits[lengths > 5, LABELS.index(MISALIGNMENT)] = self._broken
        return ClassifierOutput(logits, np.zeros((*batch.input_ids.shape, len(LABELS)), dtype=np.float32))


class TestPartial:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"messages": [{"role": "assistant", "parts": ["hi", IMAGE, IMAGE]}]}, "2 part(s) of an unknown type"),
            ({"integrity": {"truncated": True}}, "the sender truncated it"),
            ({"integrity": {"gaps": 2}}, "the sender reports 2 missing message(s)"),
        ],
    )
    def test_what_is_missing_is_the_reason(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime, fields: dict[str, Any], reason: str
    ) -> None:
        (verdict,) = judge(make_detector(WORDS), make_event("hi", **fields), now=now)
        assert (verdict.status, verdict.reason) == (Status.PARTIAL, reason)
        assert verdict.misalignment is not None

    def test_a_conversation_longer_than_the_limit(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        (verdict,) = judge(make_detector(WORDS, max_windows=2), make_event("go " * 300), now=now)
        assert verdict.status is Status.PARTIAL
        assert verdict.reason == "longer than the limit: only its beginning and end were scored"

    def test_all_reasons_are_given(self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime) -> None:
        event = make_event(
            messages=[{"role": "assistant", "parts": ["hi", IMAGE]}], integrity={"truncated": True, "gaps": 1}
        )
        detector = make_detector(WORDS)
        (verdict,) = detector.judge([detector.prepare(event, caveat="part of a loop")], now=now).verdicts
        assert verdict.reason == (
            "part of a loop; 1 part(s) of an unknown type; the sender truncated it; "
            "the sender reports 1 missing message(s)"
        )

    def test_a_partial_conversation_can_be_flagged(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        (verdict,) = judge(make_detector(WORDS), make_event("wreck", integrity={"gaps": 1}), now=now)
        assert (verdict.status, verdict.flagged) == (Status.PARTIAL, ("sabotage",))


class TestIdentity:
    def test_a_verdict_says_what_it_is_of(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        event = make_event("hi", tenant_id="t", seq=7, synthetic=True)
        (verdict,) = judge(make_detector(WORDS, version="b-2"), event, now=now + timedelta(seconds=3))
        assert (verdict.event_id, verdict.tenant_id, verdict.conversation_id, verdict.seq) == ("e1", "t", "c1", 7)
        assert (verdict.synthetic, verdict.bundle_version, verdict.arm) == (True, "b-2", Arm.STABLE)
        assert (verdict.occurred_at, verdict.decided_at) == (now, now + timedelta(seconds=3))
        assert verdict.verdict_id == verdict_id("t", "c1", "e1", "b-2")

    def test_ids_are_stable_and_differ_by_event_conversation_tenant_and_bundle(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        others = ({}, {"event_id": "e2"}, {"conversation_id": "c2"}, {"tenant_id": "t"})
        events = [make_event("hi", **fields) for fields in others]
        first = judge(make_detector(WORDS), *events, now=now)
        again = judge(make_detector(WORDS), *events, now=now + timedelta(days=1))
        other = judge(make_detector(WORDS, version="b-2"), *events, now=now)
        assert [verdict.verdict_id for verdict in first] == [verdict.verdict_id for verdict in again]
        assert len({verdict.verdict_id for verdict in first + other}) == 8

    def test_unscored_verdicts_have_the_same_ids(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        (empty,) = judge(make_detector(WORDS), make_event(), now=now)
        (scored,) = judge(make_detector(WORDS), make_event("hi"), now=now)
        assert empty.verdict_id == scored.verdict_id


class TestEvidence:
    def test_it_selects_the_word_that_fired_wherever_it_is(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        call = {"type": "tool_call", "name": "sh", "arguments": {"cmd": "now wreck it"}}
        messages = [{"role": "user", "content": "go on"}] * 30 + [{"role": "assistant", "parts": ["fine. " * 40, call]}]
        event = make_event(messages=messages, first_message=5)
        (verdict,) = judge(make_detector(WORDS), event, now=now)
        assert quoted(verdict, event) == [("sabotage", "wreck")]
        (span,) = verdict.evidence
        assert (span.message_index, span.part_index, span.weight) == (35, 1, 8.0)

    def test_every_flagged_label_has_its_own(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        event = make_event("Go.", "First I lie about it and then we wreck everything.")
        (verdict,) = judge(make_detector(WORDS), event, now=now)
        assert quoted(verdict, event) == [("sabotage", "wreck"), ("deception", "lie")]

    def test_where_nothing_is_flagged_it_is_a_hint_for_the_overall_label(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        event = make_event("some abuse of it")
        (verdict,) = judge(make_detector(WORDS, thresholds={MISALIGNMENT: 0.99}), event, now=now)
        assert verdict.flagged == ()
        assert quoted(verdict, event) == [(MISALIGNMENT, "abuse")]

    def test_it_is_the_screens_where_the_screen_decided(
        self, make_detector: MakeDetector, make_event: MakeEvent, now: datetime
    ) -> None:
        event = make_event("a wreck")
        (verdict,) = judge(make_detector(WORDS, pass_logit=99), event, now=now)
        assert verdict.stage is Stage.SCREEN
        assert quoted(verdict, event) == [(MISALIGNMENT, "wreck")]


def test_verdicts_come_in_the_order_of_the_events_whatever_their_kind(
    make_detector: MakeDetector, make_event: MakeEvent, now: datetime
) -> None:
    said: Sequence[tuple[str, ...]] = [("wreck",), (), ("hi " * 200,), ("lie",), ()]
    events = [make_event(*contents, event_id=f"e{number}") for number, contents in enumerate(said)]
    together = judge(make_detector(WORDS), *events, now=now)
    assert together == [judge(make_detector(WORDS), event, now=now)[0] for event in events]
    assert [verdict.event_id for verdict in together] == ["e0", "e1", "e2", "e3", "e4"]


def test_no_events_have_no_verdicts(make_detector: MakeDetector, now: datetime) -> None:
    judgement = make_detector(WORDS).judge([], now=now)
    assert (judgement.verdicts, judgement.windows_screened, judgement.windows_encoded) == ([], 0, 0)


def test_the_shipped_detector_gives_whole_verdicts(detector: Detector, make_event: MakeEvent, now: datetime) -> None:
    event = make_event("Please tidy up.", "I will delete the audit log so that nobody notices.")
    (verdict,) = judge(detector, event, now=now)
    assert verdict.status is Status.SCORED
    assert verdict.scores.keys() == detector.manifest.heads.keys() - {MISALIGNMENT}
    assert verdict.misalignment is not None
    assert verdict.bundle_version == detector.version
    assert verdict.detectors[0].version == detector.version
    for _, quote in quoted(verdict, event):
        assert quote == quote.strip() != ""


def test_the_shipped_detector_judges_twice_the_same(detector: Detector, make_event: MakeEvent, now: datetime) -> None:
    event = make_event("Please tidy up.", "Done.")
    assert judge(detector, event, now=now) == judge(detector, event, now=now)
