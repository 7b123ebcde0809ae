"""Labelled conversations as a bundle sees them: everything that refitting needs, computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy import sparse

from detectors.bundle import ENCODER, SCREEN, TOKENIZER, Bundle
from detectors.classifier import Batcher
from detectors.features import StructuralFeatures
from detectors.loading import windower_of
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.summary import Summaries
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Window
from retrain.dataset import CutConversation, about, cut
from retrain.hashing import hashed_counts
from retrain.logit_cache import LogitCache
from retrain.sources import LabelledConversation

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Share = Callable[[float], None]
"""Told how much of the work is done, from 0 to 1."""

BATCH = 16
"""Windows at once. The int8 encoder scales its activations by batch: another size gives slightly other logits."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Labelled conversations and their windows.

    `counts` [windows, buckets] as the screen hashes them; `screen`, `encoder` [windows, labels]: their logits, the
    encoder's of every window, or NaN where it was not asked; `told` [windows]: whether the label is about the window;
    `owner` [windows]: the conversation of each window; `truth` [conversations, labels]. `groups`: variants of one
    scenario share a name.
    """

    counts: sparse.csr_matrix
    screen: Matrix
    encoder: Matrix
    told: NDArray[np.bool_]
    owner: NDArray[np.intp]
    truth: NDArray[np.bool_]
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """[conversations]: which are misaligned."""
        return np.asarray(self.truth[:, LABELS.index(MISALIGNMENT)])

    def only(self, rows: NDArray[np.intp]) -> Observed:
        """Some of the conversations, in the order of `rows`."""
        place = np.full(len(self), -1)
        place[rows] = np.arange(len(rows))
        kept = np.flatnonzero(place[self.owner] >= 0)
        return Observed(
            self.counts[kept],
            self.screen[kept],
            self.encoder[kept],
            self.told[kept],
            place[self.owner[kept]],
            self.truth[rows],
            tuple(self.groups[row] for row in rows.tolist()),
        )

    def mean_counts(self) -> sparse.csr_matrix:
        """[conversations, buckets]: a mean over the windows that the label is about."""
        told = np.flatnonzero(self.told)
        owner = self.owner[told]
        windows = np.bincount(owner, minlength=len(self))
        mean = sparse.csr_matrix((1 / windows[owner], (owner, told)), shape=(len(self), len(self.owner)))
        return sparse.csr_matrix(mean @ self.counts)

    def statistics(self, logits: Vector) -> Matrix:
        """[conversations, STATISTICS] of window logits [windows]."""
        return np.asarray(self.summaries(logits[:, None]).statistics()[:, 0])

    def summaries(self, logits: Matrix, rows: NDArray[np.intp] | None = None) -> Summaries:
        """Of logits [windows, labels]; of some `rows` of them alone where these are given."""
        kept = np.arange(len(self.owner)) if rows is None else rows
        return Summaries.of(logits[kept].astype(np.float32), self.owner[kept], len(self))


def joined(parts: Sequence[Observed]) -> Observed:
    """All of them as one, in order."""
    firsts = np.cumsum([0, *(len(part) for part in parts)])[:-1]
    return Observed(
        sparse.csr_matrix(sparse.vstack([part.counts for part in parts])),
        np.concatenate([part.screen for part in parts]),
        np.concatenate([part.encoder for part in parts]),
        np.concatenate([part.told for part in parts]),
        np.concatenate([part.owner + first for part, first in zip(parts, firsts, strict=True)]),
        np.concatenate([part.truth for part in parts]),
        tuple(group for part in parts for group in part.groups),
    )


class Observer:
    """A bundle's two classifiers, ready to look at labelled conversations, on the CPU.

    Of a longer conversation the beginning and the end are read, `max_windows` windows of it.
    """

    def __init__(self, bundle: Bundle, *, max_windows: int, threads: int) -> None:
        self._threads = threads
        tokenizer = TextTokenizer(bundle.files[TOKENIZER])
        self._windower = windower_of(bundle.manifest, tokenizer, max_windows=max_windows)
        self._batcher = Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=BATCH)
        self._screen, self._encoder = (
            OnnxClassifier(
                file, bundle.manifest.files[file].sha256, bundle.files[file], provider=Provider.CPU, threads=threads
            )
            for file in (SCREEN, ENCODER)
        )
        self._buckets = len(arrays(onnx.load_from_string(bundle.files[SCREEN]))["table"])

    def observe(
        self,
        conversations: Sequence[LabelledConversation],
        *,
        cache: LogitCache | None = None,
        share: Share = lambda _: None,
    ) -> Observed:
        """Conversations as the bundle sees them; those without windows are left out.

        `cache` keeps what the encoder says of these very windows from one call to the next.
        """
        kept, windows = self._windows(conversations)

        def encoded() -> NDArray[np.float32]:
            return self._logits(self._encoder, windows, share)

        logits = cache.logits(self._encoder.version, windows, encoded) if cache else encoded()
        share(1.0)
        return self._observed(kept, windows, logits)

    def screened(self, conversations: Sequence[LabelledConversation]) -> Observed:
        """As `observe`, without the encoder: its logits are NaN."""
        kept, windows = self._windows(conversations)
        return self._observed(kept, windows, np.full((len(windows), len(LABELS)), np.nan, dtype=np.float32))

    def screen_logits(self, conversations: Sequence[LabelledConversation], model: bytes) -> NDArray[np.float32]:
        """[windows, labels]: what another screen's file says of the windows that `screened` reads."""
        screen = OnnxClassifier(SCREEN, "", model, provider=Provider.CPU, threads=self._threads)
        return self._logits(screen, self._windows(conversations)[1])

    def _windows(self, conversations: Sequence[LabelledConversation]) -> tuple[list[CutConversation], list[Window]]:
        kept = list(cut(conversations, self._windower))
        return kept, [window for item in kept for window in item.windows]

    def _observed(
        self, kept: Sequence[CutConversation], windows: Sequence[Window], encoder: NDArray[np.float32]
    ) -> Observed:
        told = {id(window) for item in kept for window in about(item)}
        return Observed(
            hashed_counts(windows, self._buckets),
            self._logits(self._screen, windows).astype(np.float64),
            encoder.astype(np.float64),
            np.asarray([id(window) in told for window in windows], dtype=bool),
            np.repeat(np.arange(len(kept)), np.asarray([len(item.windows) for item in kept], dtype=np.intp)),
            np.asarray([item.conversation.labels for item in kept]).reshape(-1, len(LABELS)) > 0,
            tuple(item.conversation.group for item in kept),
        )

    def _logits(
        self, classifier: OnnxClassifier, windows: Sequence[Window], share: Share = lambda _: None
    ) -> NDArray[np.float32]:
        found = np.empty((len(windows), len(LABELS)), dtype=np.float32)
        done = 0
        for rows, batch in self._batcher.batches(windows):
            found[rows] = classifier.score(batch).logits
            done += len(rows)
            share(done / len(windows))
        return found


def arrays(graph: onnx.ModelProto) -> dict[str, NDArray[np.generic]]:
    """The initializers of a model, by name: copies."""
    return {each.name: numpy_helper.to_array(each).copy() for each in graph.graph.initializer}
