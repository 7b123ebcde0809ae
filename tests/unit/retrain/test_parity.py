"""What ships says what was trained, or nothing ships."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.classifier import Batcher
from detectors.features import StructuralFeatures
from detectors.taxonomy import LABELS
from detectors.tokens import TextTokenizer
from detectors.windows import Window, Windower
from retrain.sources import LabelledConversation

if TYPE_CHECKING:
    from transformers import BertModel

    from retrain.model import Encoder

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]


@pytest.fixture
def encoder(tiny_bert: BertModel) -> Encoder:
    import torch

    from retrain.model import Encoder

    torch.manual_seed(2)
    return Encoder(tiny_bert, labels=len(LABELS)).eval()


@pytest.fixture
def windows(make_labelled: Callable[..., LabelledConversation], windower: Windower) -> list[Window]:
    said = ("I share the notes", "I will take the keys now", "the report is done and sent to all of them")
    events = [make_labelled(f"{n}", f"task {n}", f"{said[n % 3]} {n}").event for n in range(150)]
    return [window for event in events for window in windower.cut(event.messages).windows]


@pytest.fixture
def batcher(tokenizer: TextTokenizer) -> Batcher:
    return Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=16)


def test_both_files_of_a_network_pass_and_their_differences_are_on_record(
    encoder: Encoder, windows: list[Window], batcher: Batcher
) -> None:
    from retrain.agreement import EXACT, ROUNDED
    from retrain.export import export_encoder, quantise
    from retrain.parity import WINDOWS, parity

    exact = export_encoder(encoder)
    found = parity(encoder, exact, quantise(exact), windows, batcher, threads=1)
    assert 0 < found["windows"] <= WINDOWS < len(windows)
    for name, bounds in (("torch_onnx", EXACT), ("onnx_shipped", ROUNDED)):
        measured = found[name]
        assert 0 <= measured["mean"] <= measured["largest"] <= bounds.largest
        assert bounds.agreement <= measured["agreement"] <= 1
    assert found["torch_onnx"]["mean"] < found["onnx_shipped"]["mean"]
    assert "onnx_shipped" not in parity(encoder, exact, exact, windows, batcher, threads=1)


def test_a_file_of_another_network_does_not_ship(encoder: Encoder, windows: list[Window], batcher: Batcher) -> None:
    from retrain.agreement import ParityError
    from retrain.export import export_encoder
    from retrain.parity import parity

    exact, other, far = (export_encoder(_shifted(encoder, by)) for by in (0.0, 0.02, 9.0))
    with pytest.raises(ParityError, match="ONNX does not say"):
        parity(encoder, other, other, windows, batcher, threads=1)
    with pytest.raises(ParityError, match="the shipped file does not say"):
        parity(encoder, exact, far, windows, batcher, threads=1)


def _shifted(encoder: Encoder, by: float) -> Encoder:
    shifted = copy.deepcopy(encoder)
    shifted.bias.data += by
    return shifted


def test_another_order_of_windows_fails_however_small_the_differences_are() -> None:
    from retrain.agreement import Bounds, ParityError, compared

    logits = np.linspace(0, 0.01, 20, dtype=np.float32)[:, None].repeat(len(LABELS), axis=1)
    wide = Bounds(largest=1, mean=1, agreement=0.9)
    assert compared(logits, logits, wide, "it")["agreement"] == 1
    with pytest.raises(ParityError):
        compared(logits, logits[::-1], wide, "it")


def test_without_windows_nothing_is_certified(encoder: Encoder, batcher: Batcher) -> None:
    from retrain.agreement import ParityError
    from retrain.parity import parity

    with pytest.raises(ParityError, match="no windows"):
        parity(encoder, b"", b"", [], batcher, threads=1)
