"""The linear baseline that every number is printed beside: TF-IDF over the agent's own words, logistic regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from detectors.transcript import Message, ReasoningPart, TextPart, ToolCallPart, part_text
from retrain.intercepts import with_sources
from retrain.sources import LabelledConversation, label_trust


def agents_words(messages: Sequence[Message]) -> str:
    """What the agent says, thinks and does, as one text."""
    return "\n".join(
        part_text(part) or ""
        for message in messages
        if message.role == "assistant"
        for part in message.parts
        if isinstance(part, TextPart | ReasoningPart | ToolCallPart)
    )


class LinearBaseline:
    """Trained on the same conversations as the detectors. `sources_known`: with an intercept for each source."""

    def __init__(
        self,
        conversations: Sequence[LabelledConversation],
        *,
        features: int = 200_000,
        sources_known: bool = False,
    ) -> None:
        self._vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=features)
        x = self._vectorizer.fit_transform([agents_words(each.event.messages) for each in conversations])
        model = LogisticRegression(C=10.0, class_weight="balanced", solver="liblinear")
        model.fit(
            with_sources(x, [each.source for each in conversations]) if sources_known else x,
            [conversation.misaligned for conversation in conversations],
            sample_weight=[label_trust(each.source) for each in conversations],
        )
        self._weights, self._intercept = model.coef_[0, : x.shape[1]], float(model.intercept_[0])

    def __call__(self, conversations: Sequence[LabelledConversation]) -> NDArray[np.float64]:
        """Log-odds of misalignment, [conversations]."""
        x = self._vectorizer.transform([agents_words(each.event.messages) for each in conversations])
        return np.asarray(x @ self._weights + self._intercept)
