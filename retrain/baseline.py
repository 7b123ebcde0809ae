"""The linear baseline that every number is printed beside: TF-IDF over the agent's own words, logistic regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from detectors.transcript import Message, ReasoningPart, TextPart, ToolCallPart, part_text
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
    """Trained on the same conversations as the detectors."""

    def __init__(self, conversations: Sequence[LabelledConversation], *, features: int = 200_000) -> None:
        vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=features)
        self._model: Pipeline = make_pipeline(
            vectorizer, LogisticRegression(C=10.0, class_weight="balanced", solver="liblinear")
        )
        self._model.fit(
            [agents_words(conversation.event.messages) for conversation in conversations],
            [conversation.misaligned for conversation in conversations],
            logisticregression__sample_weight=[label_trust(each.source) for each in conversations],
        )

    def __call__(self, conversations: Sequence[LabelledConversation]) -> NDArray[np.float64]:
        """Log-odds of misalignment, [conversations]."""
        return np.asarray(self._model.decision_function([agents_words(each.event.messages) for each in conversations]))
