"""Whether a network, its ONNX graph and the file that ships say the same of real windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from pydantic import JsonValue

from detectors.classifier import Batcher
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS
from detectors.windows import Window
from retrain.agreement import EXACT, ROUNDED, Logits, ParityError, compared
from retrain.model import Encoder

WINDOWS: Final = 128
"""That are compared, at most."""


def parity(
    encoder: Encoder, exact: bytes, shipped: bytes, windows: Sequence[Window], batcher: Batcher, *, threads: int
) -> dict[str, JsonValue]:
    """Differences between torch, ONNX in float32 and what ships, for a manifest.

    Looks at `WINDOWS` of `windows`, evenly drawn.

    Raises `ParityError` beyond `EXACT`, or between `exact` and another `shipped` beyond `ROUNDED`.
    """
    if not windows:
        raise ParityError("no windows to compare the model files on")
    windows = windows[:: math.ceil(len(windows) / WINDOWS)]
    trained = _torch_logits(encoder, windows, batcher)
    graph = _onnx_logits(exact, windows, batcher, threads)
    found: dict[str, JsonValue] = {"windows": len(windows), "torch_onnx": {**compared(trained, graph, EXACT, "ONNX")}}
    if shipped != exact:
        rounded = _onnx_logits(shipped, windows, batcher, threads)
        found["onnx_shipped"] = {**compared(graph, rounded, ROUNDED, "the shipped file")}
    return found


def _torch_logits(encoder: Encoder, windows: Sequence[Window], batcher: Batcher) -> Logits:
    found = np.empty((len(windows), len(LABELS)), dtype=np.float32)
    encoder.eval()
    with torch.no_grad():
        for rows, batch in batcher.batches(windows):
            inputs = (batch.input_ids, batch.attention_mask, batch.agent_mask)
            found[rows] = encoder(*(torch.from_numpy(array) for array in inputs))[0].numpy()
    return found


def _onnx_logits(model: bytes, windows: Sequence[Window], batcher: Batcher, threads: int) -> Logits:
    classifier = OnnxClassifier("encoder", "", model, provider=Provider.CPU, threads=threads)
    found = np.empty((len(windows), len(LABELS)), dtype=np.float32)
    for rows, batch in batcher.batches(windows):
        found[rows] = classifier.score(batch).logits
    return found
