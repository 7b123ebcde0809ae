"""The cascade: a cheap screen over every window, the encoder over what the screen lets through."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import Head
from detectors.classifier import Batcher, Classifier
from detectors.evidence import TOP_TOKENS, TopTokens, top_tokens
from detectors.summary import Summaries
from detectors.windows import Window

SCREEN_BATCH_WINDOWS: Final = 32
"""At least so many at once: the screen does so little with a token that small batches cost more than padding."""


@dataclass(frozen=True, slots=True)
class ScoredWindows:
    """One classifier's view of some windows: logits [windows, labels] and the tokens behind them."""

    logits: NDArray[np.float32]
    top: TopTokens


@dataclass(frozen=True, slots=True)
class ConversationScores:
    """What either classifier makes of each conversation's windows; `encoder` of those that went past the screen."""

    screen: Summaries
    encoder: Summaries
    windows_screened: int
    windows_encoded: int


class CascadeResult:
    """Who scored what. Rows of `encoded` belong to `windows[chosen]`.

    `audit` [audited windows, labels] are the encoder's logits of windows that the screen had stopped.
    """

    def __init__(
        self,
        windows: Sequence[Window],
        owner: NDArray[np.intp],
        conversations: int,
        screened: ScoredWindows,
        chosen: NDArray[np.intp],
        encoded: ScoredWindows,
        audit: NDArray[np.float32],
    ) -> None:
        self._windows = windows
        self._owner = owner
        self._screened = screened
        self._chosen = chosen
        self._encoded = encoded
        self.audit = audit
        self.scores = ConversationScores(
            screen=Summaries.of(screened.logits, owner, conversations),
            encoder=Summaries.of(encoded.logits, owner[chosen], conversations),
            windows_screened=len(windows),
            windows_encoded=len(chosen),
        )

    @cached_property
    def screen_statistics(self) -> NDArray[np.float64]:
        """[conversations, labels, STATISTICS]."""
        return self.scores.screen.statistics()

    @cached_property
    def encoder_statistics(self) -> NDArray[np.float64]:
        """[conversations, labels, STATISTICS]; -inf where no window went past the screen."""
        return self.scores.encoder.statistics()

    def strongest(
        self, conversation: int, label: int, head: Head
    ) -> tuple[Window, NDArray[np.int16], NDArray[np.float32]]:
        """The window that speaks most for `label`, with its top tokens and their weights, [k] each.

        It is taken from the classifier whose tokens pull more on the conversation's score, as `head` weighs them.
        """
        passed = np.flatnonzero(self._owner[self._chosen] == conversation)
        all_of_it = np.flatnonzero(self._owner == conversation)
        views = [(self._screened, all_of_it, all_of_it, sum(head.screen))]
        if len(passed):
            views.insert(0, (self._encoded, passed, self._chosen[passed], sum(head.encoder)))
        found = []
        for scored, rows, windows, weight in views:
            best = int(np.argmax(scored.logits[rows, label]))
            weights = scored.top.weights[rows[best], :, label]
            pull = weight * float(weights[weights > 0].sum())
            found.append((pull, self._windows[windows[best]], scored.top.tokens[rows[best], :, label], weights))
        return max(found, key=lambda each: each[0])[1:]


class Cascade:
    """Scores the windows of many conversations at once."""

    def __init__(
        self,
        screen: Classifier,
        encoder: Classifier,
        batcher: Batcher,
        *,
        pass_logit: float,
        pass_label: int,
        labels: int,
        audit_share: float,
    ) -> None:
        self.screen = screen
        self.encoder = encoder
        self._batcher = batcher
        self._for_screen = batcher.at_least(SCREEN_BATCH_WINDOWS)
        self._pass_logit = pass_logit
        self._pass_label = pass_label
        self._labels = labels
        self._audit_share = audit_share

    def score(self, conversations: Sequence[Sequence[Window]]) -> CascadeResult:
        """Scores of all windows of `conversations`.

        A window that the screen stops may be drawn for audit: the encoder sees it, and no score of a conversation does.
        """
        windows = [window for conversation in conversations for window in conversation]
        owner = np.repeat(np.arange(len(conversations)), [len(conversation) for conversation in conversations])
        screened = run(self.screen, self._for_screen, windows, labels=self._labels)
        passing = screened.logits[:, self._pass_label] >= self._pass_logit
        chosen = np.flatnonzero(passing)
        encoded = run(self.encoder, self._batcher, [windows[index] for index in chosen], labels=self._labels)
        drawn = [window for window, passes in zip(windows, passing, strict=True) if not passes and self._draws(window)]
        audit = run(self.encoder, self._batcher, drawn, labels=self._labels).logits
        return CascadeResult(windows, owner, len(conversations), screened, chosen, encoded, audit)

    def rehearse(self, windows: Sequence[Window]) -> bool:
        """Runs both classifiers over all `windows`, whatever the screen thinks; whether they give numbers."""
        screened = run(self.screen, self._for_screen, windows, labels=self._labels)
        encoded = run(self.encoder, self._batcher, windows, labels=self._labels)
        return bool(np.isfinite(screened.logits).all() and np.isfinite(encoded.logits).all())

    def _draws(self, window: Window) -> bool:
        """A fixed share of all windows, the same ones each time: drawn by the window's own content."""
        return zlib.crc32(window.input_ids.tobytes()) < self._audit_share * 2**32


def run(classifier: Classifier, batcher: Batcher, windows: Sequence[Window], *, labels: int) -> ScoredWindows:
    """`classifier` over `windows`, in batches; rows are in the order of `windows`."""
    logits = np.empty((len(windows), labels), dtype=np.float32)
    tokens = np.zeros((len(windows), TOP_TOKENS, labels), dtype=np.int16)
    weights = np.full((len(windows), TOP_TOKENS, labels), -np.inf, dtype=np.float32)
    for rows, batch in batcher.batches(windows):
        output = classifier.score(batch)
        top = top_tokens(output.contributions, batch.agent_mask > 0)
        k = top.tokens.shape[1]
        logits[rows] = output.logits
        tokens[rows, :k] = top.tokens
        weights[rows, :k] = top.weights
    return ScoredWindows(logits, TopTokens(tokens, weights))
