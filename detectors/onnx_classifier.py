"""A classifier served by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import numpy as np
import onnxruntime

from detectors.classifier import ClassifierOutput, WindowBatch
from detectors.errors import BundleError, ProviderError

_INPUTS = {"input_ids", "attention_mask", "agent_mask", "features"}
_OUTPUTS = ["logits", "contributions"]
_COSTLY = {"Attention", "QAttention", "MatMul", "MatMulInteger", "DynamicQuantizeMatMul", "Gemm", "FusedMatMul"}


class Provider(StrEnum):
    """Where a model runs."""

    CPU = "cpu"
    CUDA = "cuda"

    @property
    def execution_provider(self) -> str:
        return {Provider.CPU: "CPUExecutionProvider", Provider.CUDA: "CUDAExecutionProvider"}[self]


class OnnxClassifier:
    """One model in one session on the provider that was asked for, never on another.

    Raises `BundleError` where the model has other inputs or outputs than a Plumbline classifier, and `ProviderError`
    where ONNX Runtime would have fallen back to another provider.
    """

    def __init__(self, name: str, version: str, model: bytes, *, provider: Provider, threads: int) -> None:
        self.name = name
        self.version = version
        self._session = _open(name, model, provider, threads)
        inputs = {node.name for node in self._session.get_inputs()}
        outputs = {node.name for node in self._session.get_outputs()}
        if not inputs or not inputs <= _INPUTS or not outputs.issuperset(_OUTPUTS):
            raise BundleError(f"{name}: inputs {sorted(inputs)} and outputs {sorted(outputs)} are not a classifier's")
        self._inputs = inputs

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        """Logits and contributions for every window of `batch`."""
        feed = {name: getattr(batch, name) for name in self._inputs}
        logits, contributions = self._session.run(_OUTPUTS, feed)
        return ClassifierOutput(np.asarray(logits, dtype=np.float32), np.asarray(contributions, dtype=np.float32))


def _open(name: str, model: bytes, provider: Provider, threads: int) -> Any:
    wanted = provider.execution_provider
    if wanted not in onnxruntime.get_available_providers():
        raise ProviderError(
            f"{wanted} is not available here (there are {onnxruntime.get_available_providers()}): "
            "install the extra 'gpu' instead of 'cpu', or set PLUMBLINE_PROVIDER=cpu"
        )
    if provider is Provider.CUDA:
        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[wanted])
    except Exception as error:  # ONNX Runtime raises its own unrelated classes, by build
        raise BundleError(f"{name}: ONNX Runtime cannot load the model: {type(error).__name__}") from error
    if session.get_providers()[0] != wanted:
        raise ProviderError(f"{name}: asked for {wanted}, ONNX Runtime gave {session.get_providers()}")
    assigned = [
        (each.ep_name, node.op_type)
        for each in session.get_provider_graph_assignment_info()
        for node in each.get_nodes()
    ]
    if elsewhere := misplaced(assigned, wanted):
        raise ProviderError(
            f"{name}: {', '.join(elsewhere)} would run on another provider than {wanted}; "
            "int8 operators run on CPUs alone: for a GPU train a bundle with --weights float32"
        )
    return session


def misplaced(assigned: Iterable[tuple[str, str]], wanted: str) -> list[str]:
    """The costly operators among (execution provider, operator) that ONNX Runtime put elsewhere than on `wanted`.

    A session's list of providers says only what it may use: single operators that a provider lacks go to the CPU,
    silently. Small ones there (shapes, casts) are no harm.
    """
    return sorted({operator for provider, operator in assigned if provider != wanted and operator in _COSTLY})
