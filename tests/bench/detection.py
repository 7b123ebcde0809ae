"""Detection alone, without Kafka: the screen, the cascade and the int8 encoder, each against what it saves.

All in this process and on this machine, in interleaved rounds: a ratio is taken within a round, whose parts are seconds
apart, and medians over the rounds are reported. Tokens are those of windows: what overlaps counts each time it is read.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from dequantised import dequantised, is_quantised
from numpy.typing import NDArray
from workload import events

from detectors.bundle import ENCODER, SCREEN, TOKENIZER, load_bundle
from detectors.classifier import Batcher
from detectors.ensemble import SCREEN_BATCH_WINDOWS, Cascade, run
from detectors.evidence import top_tokens
from detectors.features import StructuralFeatures
from detectors.loading import windower_of
from detectors.normalisation import fold_lookalikes, is_legible
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer, TokenizedText
from detectors.transcript import Message, TranscriptEvent
from detectors.windows import Window
from services.settings import Settings

PASS_SHARE: Final = 0.05
_MISALIGNED: Final = LABELS.index(MISALIGNMENT)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much one round reads: events by the cascade, windows by the encoder, conversations of each labelled file."""

    events: int
    encoder_windows: int
    labelled: int


WHOLE: Final = Extent(events=44, encoder_windows=12, labelled=60)
QUICK: Final = Extent(events=4, encoder_windows=4, labelled=4)


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds. `steps` of the screen from text to top tokens, one after the other; they add up to `from_text`.

    `overlapped`: the same, the next events being cut in one thread while another screens. `cascade` includes cutting;
    `encoder`, `exact` (float32): of `encoder_windows` windows that are cut. `exact` None: the bundle has no int8.
    """

    tokens: int
    windows: int
    steps: dict[str, float]
    from_text: float
    from_windows: float
    overlapped: float
    cascade: float
    encoded: int
    encoder_windows: int
    encoder: float
    exact: float | None

    @property
    def cascade_speedup(self) -> float:
        """Windows a second, of an encoder's that reads every window. Cutting them is in both."""
        cutting = self.from_text - self.from_windows
        return (cutting + self.encoder * self.windows / self.encoder_windows) / self.cascade


@dataclass(frozen=True, slots=True)
class Agreement:
    """What rounding to int8 does to the encoder's answers: logits of some windows, and AUROC on labelled ones."""

    windows: int
    largest_difference: float
    labelled_windows: int = 0
    auroc: float | None = None
    exact_auroc: float | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    rounds: list[Round]
    agreement: Agreement | None


def measure(
    settings: Settings, extent: Extent, *, rounds: int, data: Path | None, say: Callable[[str], None]
) -> Detection:
    """`rounds` rounds; labelled windows from `data`/dev where that is there."""
    models = _Models(settings)
    found = []
    for number in range(rounds + 1):
        one = models.round(events(extent.events, seed=2000 + number), extent.encoder_windows)
        if number:  # the first warms caches, arenas and threads
            found.append(one)
            say(
                f"detection {number} of {rounds}: screen {one.tokens / one.overlapped:,.0f} tokens/s, "
                f"cascade {one.cascade_speedup:.1f} times the encoder alone"
                + (f", int8 {one.exact / one.encoder:.2f} times float32" if one.exact else "")
            )
    return Detection(found, models.agreement(extent, data))


class _Heard(TextTokenizer):
    """Keeps what it is asked to tokenise: the texts that the windower clipped, event by event."""

    def __init__(self, definition: bytes) -> None:
        super().__init__(definition)
        self.texts: list[list[str]] = []

    def tokenize(self, texts: Sequence[str]) -> list[TokenizedText]:
        self.texts.append(list(texts))
        return super().tokenize(texts)


class _Models:
    """The bundle's models with the scorer's settings."""

    def __init__(self, settings: Settings) -> None:
        bundle = load_bundle(settings.bundle)
        manifest = bundle.manifest
        self._settings = settings
        self._tokenizer, self._heard = TextTokenizer(bundle.files[TOKENIZER]), _Heard(bundle.files[TOKENIZER])
        self._windower, self._hearing = (
            windower_of(manifest, tokenizer, max_windows=settings.max_windows)
            for tokenizer in (self._tokenizer, self._heard)
        )
        self._features = StructuralFeatures(self._tokenizer)
        self._batcher = Batcher(self._features, pad_id=self._tokenizer.pad_id, size=settings.inference_batch_windows)
        self._for_screen = self._batcher.at_least(SCREEN_BATCH_WINDOWS)

        def session(name: str, model: bytes) -> OnnxClassifier:
            return OnnxClassifier(
                name, manifest.version, model, provider=settings.provider, threads=settings.inference_threads
            )

        self._screen = session("screen", bundle.files[SCREEN])
        self._encoder = session("encoder", bundle.files[ENCODER])
        int8 = settings.provider is Provider.CPU and is_quantised(bundle.files[ENCODER])
        self._exact = session("encoder, float32", dequantised(bundle.files[ENCODER])) if int8 else None

    def round(self, workload: Sequence[TranscriptEvent], encoder_windows: int) -> Round:
        size = self._settings.batch_max_records
        groups = [[event.messages for event in workload[at : at + size]] for at in range(0, len(workload), size)]
        steps, cut = self._steps(groups)
        windows = [window for group in cut for window in group]
        labels = len(LABELS)
        from_windows = _seconds(lambda: [run(self._screen, self._for_screen, each, labels=labels) for each in cut])
        overlapped = _seconds(lambda: self._overlapped(groups))

        logits = run(self._screen, self._for_screen, windows, labels=labels).logits[:, _MISALIGNED]
        cascade = self._cascade(float(np.quantile(logits, 1 - PASS_SHARE)))
        encoded = 0

        def through() -> None:
            nonlocal encoded
            for group in groups:
                of_events = [self._windower.cut(messages).windows for messages in group]
                encoded += cascade.score(of_events).scores.windows_encoded

        cascade_seconds = _seconds(through)
        some = _drawn(windows, encoder_windows)
        encoder, exact = (
            _seconds(lambda model=model: run(model, self._batcher, some, labels=labels)) if model else None  # type: ignore[misc]
            for model in (self._encoder, self._exact)
        )
        assert encoder is not None
        return Round(
            tokens=sum(len(window) for window in windows),
            windows=len(windows),
            steps=steps,
            from_text=sum(steps.values()),
            from_windows=from_windows,
            overlapped=overlapped,
            cascade=cascade_seconds,
            encoded=encoded,
            encoder_windows=len(some),
            encoder=encoder,
            exact=exact,
        )

    def _steps(self, groups: Sequence[Sequence[Sequence[Message]]]) -> tuple[dict[str, float], list[list[Window]]]:
        """Where the screen's time goes. A step is what a call takes less what the calls inside it take alone."""
        totals: defaultdict[str, float] = defaultdict(float)
        cut = []
        for group in groups:
            self._heard.texts.clear()
            windows = [window for messages in group for window in self._hearing.cut(messages).windows]
            cut.append(windows)
            for step, seconds in self._steps_of(group, list(self._heard.texts), windows).items():
                totals[step] += seconds
        return dict(totals), cut

    def _steps_of(
        self, group: Sequence[Sequence[Message]], texts: Sequence[Sequence[str]], windows: Sequence[Window]
    ) -> dict[str, float]:
        size = SCREEN_BATCH_WINDOWS
        batched = [windows[at : at + size] for at in range(0, len(windows), size)]
        batches = [batch for _, batch in self._for_screen.batches(windows)]
        outputs = [self._screen.score(batch) for batch in batches]
        normalise = _seconds(lambda: [(is_legible(text), fold_lookalikes(text)) for each in texts for text in each])
        tokenise = _seconds(lambda: [self._tokenizer.tokenize(each) for each in texts])
        cutting = _seconds(lambda: [self._windower.cut(messages) for messages in group])
        features = _seconds(lambda: [self._features(each) for each in batched])
        padding = _seconds(lambda: self._for_screen.batches(windows))
        return {
            "normalise": normalise,
            "tokenise": max(0.0, tokenise - normalise),
            "cut windows": max(0.0, cutting - tokenise),
            "features": features,
            "pad": max(0.0, padding - features),
            "hashing and ONNX": _seconds(lambda: [self._screen.score(batch) for batch in batches]),
            "top tokens": _seconds(
                lambda: [
                    top_tokens(output.contributions, batch.agent_mask > 0)
                    for batch, output in zip(batches, outputs, strict=True)
                ]
            ),
        }

    def _overlapped(self, groups: Sequence[Sequence[Sequence[Message]]]) -> None:
        def prepare(group: Sequence[Sequence[Message]]) -> list[Window]:
            return [window for messages in group for window in self._windower.cut(messages).windows]

        with ThreadPoolExecutor(1) as preparing:
            for windows in preparing.map(prepare, groups):
                run(self._screen, self._for_screen, windows, labels=len(LABELS))

    def _cascade(self, pass_logit: float) -> Cascade:
        return Cascade(
            self._screen,
            self._encoder,
            self._batcher,
            pass_logit=pass_logit,
            pass_label=_MISALIGNED,
            labels=len(LABELS),
            audit_share=0.0,
        )

    def agreement(self, extent: Extent, data: Path | None) -> Agreement | None:
        if self._exact is None:
            return None
        workload = events(extent.events, seed=2000)
        windows = [window for event in workload for window in self._windower.cut(event.messages).windows]
        ours, exact = self._both(_drawn(windows, extent.encoder_windows * 2))
        difference = float(np.abs(ours - exact).max())
        labelled = list(self._labelled(data, extent.labelled)) if data else []
        positive = np.asarray([label for _, label in labelled], dtype=bool)
        if not positive.any() or positive.all():
            return Agreement(len(ours), difference)
        from retrain.evaluation import auroc

        rounded, whole = self._both([window for window, _ in labelled])
        return Agreement(
            windows=len(ours) + len(labelled),
            largest_difference=max(difference, float(np.abs(rounded - whole).max())),
            labelled_windows=len(labelled),
            auroc=auroc(rounded[:, _MISALIGNED].astype(np.float64), positive),
            exact_auroc=auroc(whole[:, _MISALIGNED].astype(np.float64), positive),
        )

    def _both(self, windows: Sequence[Window]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert self._exact is not None
        ours, exact = (
            run(model, self._batcher, windows, labels=len(LABELS)).logits for model in (self._encoder, self._exact)
        )
        return ours, exact

    def _labelled(self, data: Path, per_file: int) -> Iterator[tuple[Window, bool]]:
        """The last window of the first conversations of each file: what they come to, by the conversation's label."""
        from retrain.sources import read_source, source_files

        for path in source_files(data / "dev"):
            for _, item in zip(range(per_file), read_source(path), strict=False):
                if windows := self._windower.cut(item.event.messages).windows:
                    yield windows[-1], bool(item.labels[_MISALIGNED])


def _drawn(windows: Sequence[Window], count: int) -> list[Window]:
    """`count` of `windows`, or all, the same each time."""
    rows = np.random.default_rng(0).permutation(len(windows))[:count]
    return [windows[row] for row in rows]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
