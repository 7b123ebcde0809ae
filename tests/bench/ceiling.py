"""The least that scoring can take on this machine: the sessions alone, fed with what the scorer would feed them.

The tape holds the very arrays: the scorer's micro-batches, cut and padded by its own code before the clock starts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from end_to_end import EndToEnd, ScoredBatch

from detectors.bundle import ENCODER, SCREEN, TOKENIZER, load_bundle
from detectors.classifier import Batcher, Classifier, ClassifierOutput, WindowBatch
from detectors.ensemble import Cascade
from detectors.evidence import TOP_TOKENS
from detectors.features import StructuralFeatures
from detectors.onnx_classifier import OnnxClassifier
from detectors.taxonomy import MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.transcript import TranscriptEvent
from detectors.windows import Windower
from services.settings import Settings


@dataclass(frozen=True, slots=True)
class Tape:
    """Calls to the sessions, in order, for one micro-batch."""

    calls: list[tuple[Classifier, WindowBatch]] = field(default_factory=list)
    screened: int = 0
    encoded: int = 0


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How long the sessions took for the steady batches of a run, and how many windows those are."""

    seconds: float
    windows: int
    encoded: int


class Sessions:
    """The bundle's two sessions with the scorer's settings."""

    def __init__(self, settings: Settings) -> None:
        bundle = load_bundle(settings.bundle)
        manifest = bundle.manifest
        tokenizer = TextTokenizer(bundle.files[TOKENIZER])
        self._screen, self._encoder = (
            OnnxClassifier(
                file,
                manifest.version,
                bundle.files[file],
                provider=settings.provider,
                threads=settings.inference_threads,
            )
            for file in (SCREEN, ENCODER)
        )
        self._windower = Windower(
            tokenizer,
            max_tokens=manifest.max_tokens,
            overlap=manifest.overlap,
            max_windows=settings.max_windows,
            context_chars=manifest.context_chars,
        )
        self._taped_screen = _Taped(self._screen)
        self._taped_encoder = _Taped(_Unanswering(len(manifest.labels)))
        self._cascade = Cascade(
            self._taped_screen,
            self._taped_encoder,
            Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=settings.inference_batch_windows),
            pass_logit=manifest.pass_logit,
            pass_label=manifest.labels.index(MISALIGNMENT),
            labels=len(manifest.labels),
            audit_share=settings.audit_share,
        )

    def measure(self, run: EndToEnd, workload: Sequence[TranscriptEvent]) -> Ceiling:
        """The same batches as `run`'s, by the same sessions, and nothing else."""
        events = {event.event_id: event for event in workload}
        _play([self._tape(run.batches[0], events)])
        tapes = [self._tape(batch, events) for batch in run.steady]
        began = time.perf_counter()
        _play(tapes)
        return Ceiling(
            time.perf_counter() - began, sum(tape.screened for tape in tapes), sum(tape.encoded for tape in tapes)
        )

    def _tape(self, batch: ScoredBatch, events: Mapping[str, TranscriptEvent]) -> Tape:
        self._taped_screen.batches.clear()
        self._taped_encoder.batches.clear()
        cut = [self._windower.cut(events[event_id].messages).windows for event_id in batch.event_ids]
        scores = self._cascade.score(cut).scores
        calls: list[tuple[Classifier, WindowBatch]] = [(self._screen, each) for each in self._taped_screen.batches]
        calls += [(self._encoder, each) for each in self._taped_encoder.batches]
        return Tape(calls, scores.windows_screened, scores.windows_encoded)


def _play(tapes: Sequence[Tape]) -> None:
    for tape in tapes:
        for classifier, batch in tape.calls:
            classifier.score(batch)


class _Taped:
    """Keeps every batch that a classifier is asked about."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.name = classifier.name
        self.version = classifier.version
        self.batches: list[WindowBatch] = []

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        self.batches.append(batch)
        return self._classifier.score(batch)


class _Unanswering:
    """Stands in for the encoder while its batches are taped: nothing depends on its answer."""

    name = "encoder"
    version = ""

    def __init__(self, labels: int) -> None:
        self._labels = labels

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        windows, tokens = batch.input_ids.shape
        zeros = np.zeros((windows, max(tokens, TOP_TOKENS), self._labels), dtype=np.float32)
        return ClassifierOutput(zeros[:, 0], zeros[:, :tokens])
