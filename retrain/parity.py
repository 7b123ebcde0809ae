"""Whether a network, its ONNX graph and the file that ships say the same of real windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from scipy.stats import spearmanr

from detectors.classifier import Batcher
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.windows import Window
from retrain.model import Encoder

Logits = NDArray[np.float32]
WINDOWS: Final = 128
"""That are compared, at most."""

_OVERALL = LABELS.index(MISALIGNMENT)


class ParityError(ValueError):
    """A model file does not say what the network says: nothing is to be shipped."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What two ways of computing the same logits may differ by.

    `largest` and `mean`: absolute differences, `mean` over all labels; `agreement`: the least Spearman correlation of
    the logits for overall misalignment.
    """

    largest: float
    mean: float
    agreement: float


EXACT = Bounds(largest=0.01, mean=0.001, agreement=0.999)
"""float32 in two libraries: orders of summation differ, nothing else."""
ROUNDED = Bounds(largest=4.0, mean=0.5, agreement=0.9)
"""Eight bits for weights and activations. The bundle that ships differs by 1.6 at most and 0.26 on average from float32
on Plumbline's test pairs, and its windows are ranked alike to 0.937: rounding of that size is known to be borne."""


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


def compared(one: Logits, other: Logits, bounds: Bounds, what: str) -> Mapping[str, float]:
    """How two arrays of logits [windows, labels] differ. Raises `ParityError` beyond `bounds`."""
    differences = np.abs(one - other)
    found = {
        "largest": round(float(differences.max()), 6),
        "mean": round(float(differences.mean()), 6),
        "agreement": round(_agreement(one[:, _OVERALL], other[:, _OVERALL]), 6),
    }
    within = found["largest"] <= bounds.largest and found["mean"] <= bounds.mean
    if not (within and found["agreement"] >= bounds.agreement):
        raise ParityError(f"{what} does not say what was trained: {found} is beyond {bounds}")
    return found


def _agreement(one: Logits, other: Logits) -> float:
    """Spearman's rank correlation; 1 where both say the same of everything."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float(np.ptp(one) == np.ptp(other))
    return float(spearmanr(one, other).statistic)


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
