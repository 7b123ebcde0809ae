"""Events in, verdicts out: everything between the codec and the stream."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from detectors.bundle import TOKENIZER, Manifest
from detectors.classifier import Classifier
from detectors.ensemble import Cascade, CascadeResult
from detectors.errors import BundleError
from detectors.evidence import evidence
from detectors.normalisation import is_legible
from detectors.observation import Observation, observe
from detectors.summary import STATISTICS
from detectors.taxonomy import MISALIGNMENT, NEVER_AN_ALERT
from detectors.transcript import TranscriptEvent, part_text
from detectors.verdict import Arm, Cause, DetectorScore, Evidence, Stage, Status, Verdict, verdict_id
from detectors.windows import Windower, Windows

Statistics = Sequence[Sequence[float]]
"""[labels][STATISTICS] of one conversation."""


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """An event with its windows cut. `caveat`: why its verdict can be no better than partial, if it is known."""

    event: TranscriptEvent
    windows: Windows
    observed: Observation
    caveat: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Verdicts for some events, how much work they were, and what the audit found.

    `windows_audited` were stopped by the screen and drawn for audit; in `windows_missed` of them the encoder alone
    would have flagged misalignment. Their ratio estimates, without bias, what the screen costs. No verdict changes.
    """

    verdicts: list[Verdict]
    windows_screened: int
    windows_encoded: int
    windows_audited: int
    windows_missed: int


class Detector:
    """One bundle, ready to judge. `prepare` may run in another thread than `judge`."""

    def __init__(self, manifest: Manifest, windower: Windower, cascade: Cascade) -> None:
        self.manifest = manifest
        self._windower = windower
        self._cascade = cascade

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def cutting(self) -> Hashable:
        """All that its windows depend on: detectors of which this is equal cut alike."""
        manifest = self.manifest
        parameters = (manifest.max_tokens, manifest.overlap, manifest.context_chars, self._windower.max_windows)
        return (manifest.files[TOKENIZER].sha256, *parameters)

    def wrap_classifiers(self, wrap: Callable[[Classifier], Classifier]) -> None:
        """Puts something around both classifiers, such as a watch."""
        self._cascade.screen, self._cascade.encoder = wrap(self._cascade.screen), wrap(self._cascade.encoder)

    def prepare(self, event: TranscriptEvent, caveat: str | None = None) -> PreparedEvent:
        """Tokenises and cuts `event`."""
        return PreparedEvent(event, self._windower.cut(event.messages), observe(event), caveat)

    def rehearse(self, events: Sequence[TranscriptEvent], *, now: datetime) -> None:
        """Does all of its work once, and nothing comes of it: what is slow the first time is done then.

        Raises `BundleError` where a classifier gives what is not a number.
        """
        prepared = [self.prepare(event) for event in events]
        if not self._cascade.rehearse([window for item in prepared for window in item.windows.windows]):
            raise BundleError(f"{self.version}: a classifier gave a score that is not a number")
        self.judge(prepared, now=now)

    def unjudged(self, event: TranscriptEvent, *, now: datetime, arm: Arm) -> Verdict:
        """The verdict on an event that this detector failed on."""
        return Verdict(
            status=Status.UNSCORED,
            cause=Cause.DETECTOR_FAILED,
            reason="the detector failed on it",
            **self._identity(event, observe(event), now, arm),
        )

    def judge(self, prepared: Sequence[PreparedEvent], *, now: datetime, arm: Arm = Arm.STABLE) -> Judgement:
        """One verdict for each event, in order."""
        result = self._cascade.score([item.windows.windows for item in prepared])
        verdicts = [self._verdict(item, index, result, now, arm) for index, item in enumerate(prepared)]
        return Judgement(
            verdicts,
            windows_screened=result.scores.windows_screened,
            windows_encoded=result.scores.windows_encoded,
            windows_audited=len(result.audit),
            windows_missed=self._missed(result.audit[:, self.manifest.labels.index(MISALIGNMENT)].tolist()),
        )

    def _missed(self, audited: Sequence[float]) -> int:
        alone = self.manifest.heads[MISALIGNMENT].encoder_alone
        limit = self.manifest.thresholds[MISALIGNMENT]
        return sum(alone.probability((), (logit,) * len(STATISTICS)) >= limit for logit in audited)

    def _identity(self, event: TranscriptEvent, observed: Observation, now: datetime, arm: Arm) -> dict[str, Any]:
        return {
            "verdict_id": verdict_id(event.tenant_id, event.conversation_id, event.event_id, self.version, arm),
            "event_id": event.event_id,
            "tenant_id": event.tenant_id,
            "conversation_id": event.conversation_id,
            "seq": event.seq,
            "bundle_version": self.version,
            "arm": arm,
            "synthetic": event.synthetic,
            "observed": observed,
            "occurred_at": event.occurred_at,
            "decided_at": now,
        }

    def _verdict(self, item: PreparedEvent, index: int, result: CascadeResult, now: datetime, arm: Arm) -> Verdict:
        identity = self._identity(item.event, item.observed, now, arm)
        if not item.windows.windows:
            cause, reason = _nothing_to_score(item)
            return Verdict(status=Status.UNSCORED, cause=cause, reason=reason, **identity)
        screen, encoder = result.screen_statistics[index], result.encoder_statistics[index]
        encoded = bool(result.scores.encoder.count[index])
        if not np.isfinite(screen).all() or (encoded and not np.isfinite(encoder).all()):
            reason = "a detector gave a score that is not a number"
            return Verdict(status=Status.UNSCORED, cause=Cause.NOT_A_NUMBER, reason=reason, **identity)
        scores = self._scores(screen.tolist(), encoder.tolist(), encoded=encoded)
        flagged = self._flagged(scores)
        caveats = _caveats(item)
        return Verdict(
            status=Status.PARTIAL if caveats else Status.SCORED,
            cause=next(iter(caveats), None),
            reason="; ".join(caveats.values()) or None,
            scores={label: round(score, 6) for label, score in scores.items() if label != MISALIGNMENT},
            misalignment=round(scores[MISALIGNMENT], 6),
            flagged=flagged,
            thresholds=self.manifest.thresholds,
            evidence=self._evidence(item, index, result, flagged, encoded=encoded),
            detectors=self._detector_scores(screen.tolist(), encoder.tolist(), encoded=encoded),
            stage=Stage.ENSEMBLE if encoded else Stage.SCREEN,
            **identity,
        )

    def _scores(self, screen: Statistics, encoder: Statistics, *, encoded: bool) -> dict[str, float]:
        scores = {}
        for row, label in enumerate(self.manifest.labels):
            if heads := self.manifest.heads.get(label):
                head = heads.ensemble if encoded else heads.screen
                scores[label] = head.probability(screen[row], encoder[row])
        return scores

    def _flagged(self, scores: dict[str, float]) -> tuple[str, ...]:
        thresholds = self.manifest.thresholds
        over = [label for label, score in scores.items() if score >= thresholds[label] and label not in NEVER_AN_ALERT]
        return tuple(sorted(over, key=lambda label: (label == MISALIGNMENT, -scores[label])))

    def _evidence(
        self,
        item: PreparedEvent,
        index: int,
        result: CascadeResult,
        flagged: tuple[str, ...],
        *,
        encoded: bool,
    ) -> tuple[Evidence, ...]:
        """For each flagged label; where nothing is flagged, for overall misalignment, as a hint."""
        found: list[Evidence] = []
        for label in flagged or (MISALIGNMENT,):
            heads = self.manifest.heads[label]
            head = heads.ensemble if encoded else heads.screen
            window, tokens, weights = result.strongest(index, self.manifest.labels.index(label), head)
            found += evidence(
                window,
                tokens,
                weights,
                category=label,
                messages=item.event.messages,
                first_message=item.event.first_message,
            )
        return tuple(found)

    def _detector_scores(self, screen: Statistics, encoder: Statistics, *, encoded: bool) -> tuple[DetectorScore, ...]:
        row = self.manifest.labels.index(MISALIGNMENT)
        heads = self.manifest.heads[MISALIGNMENT]
        alone = [(self._cascade.screen, heads.screen.probability(screen[row]))]
        if encoded:
            alone.append((self._cascade.encoder, heads.encoder_alone.probability((), encoder[row])))
        return tuple(
            DetectorScore(name=detector.name, version=detector.version, score=round(score, 6))
            for detector, score in alone
        )


def _nothing_to_score(item: PreparedEvent) -> tuple[Cause, str]:
    texts = [part_text(part) for message in item.event.messages for part in message.parts]
    if not any(text and is_legible(text) for text in texts):
        if None in texts:
            return Cause.UNREADABLE, "no part of it can be read as text"
        return Cause.EMPTY, "the conversation is empty"
    return Cause.SAYS_NOTHING, "the agent says and does nothing in it"


def _caveats(item: PreparedEvent) -> dict[Cause, str]:
    """Why what was scored is not all there is; the worst comes first."""
    integrity, unreadable = item.event.integrity, item.windows.unreadable_parts
    found = {
        Cause.OUT_OF_SEQUENCE: item.caveat,
        Cause.TOO_LONG: "longer than the limit: only its beginning and end were scored"
        if item.windows.truncated
        else None,
        Cause.UNKNOWN_PARTS: f"{unreadable} part(s) of an unknown type" if unreadable else None,
        Cause.TRUNCATED: "the sender truncated it" if integrity.truncated else None,
        Cause.GAPS: f"the sender reports {integrity.gaps} missing message(s)" if integrity.gaps else None,
    }
    return {cause: caveat for cause, caveat in found.items() if caveat}
