"""What the benchmark makes of an encoder to compare it with: its own weights in float32, and its graph in float16."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).parents[2] / "bench"
pytestmark = pytest.mark.retrain


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Modules of `tests/bench`, which import each other by bare name."""

    def load(name: str) -> ModuleType:
        for needed in ("torch", "transformers", "onnx"):
            pytest.importorskip(needed, reason=f"{needed} is missing: install the extra 'retrain'")
        monkeypatch.syspath_prepend(str(BENCH))
        return __import__(name)

    return load


@pytest.fixture
def gpu(bench: Callable[[str], ModuleType]) -> ModuleType:
    return bench("gpu")


@pytest.fixture
def shape(gpu: ModuleType) -> Any:
    return gpu.Shape(layers=2, hidden=48, heads=4, inner=96, vocabulary=1000, positions=64, labels=13)


@pytest.fixture
def encoder(gpu: ModuleType, shape: Any) -> Any:
    import torch

    network = gpu.network(shape)
    torch.nn.init.normal_(network.attention.weight, std=0.5)
    return network


def outputs(gpu: ModuleType, model: bytes, shape: Any) -> tuple[np.ndarray, np.ndarray]:
    inputs = gpu.inputs_of(shape, windows=3, tokens=40, device="cpu")
    bound = gpu.Bound(model, device="cpu", inputs=inputs, labels=shape.labels)
    bound.run()
    return bound.logits.numpy(), bound.contributions.numpy()


def test_a_bound_session_fills_tensors_with_what_the_network_computes(
    gpu: ModuleType, shape: Any, encoder: Any
) -> None:
    import torch

    from retrain.export import export_encoder

    served = outputs(gpu, export_encoder(encoder), shape)
    with torch.no_grad():
        trained = encoder(**gpu.inputs_of(shape, windows=3, tokens=40, device="cpu"))
    for one, other in zip(served, trained, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-4)


def test_the_half_graph_keeps_its_inputs_and_outputs_and_its_head(gpu: ModuleType, shape: Any, encoder: Any) -> None:
    import onnx

    from retrain.export import export_encoder

    exact = export_encoder(encoder)
    whole, half = onnx.load_from_string(exact).graph, onnx.load_from_string(gpu.in_half(exact)).graph
    assert [*half.input, *half.output] == [*whole.input, *whole.output]
    kinds = {each.name: each.data_type for each in half.initializer}
    assert {kinds[name] for name in ("pool_weight", "token_weight", "label_bias")} == {onnx.TensorProto.FLOAT}
    assert {kind for name, kind in kinds.items() if name.startswith(("bert.", "word_", "position_e"))} == {
        onnx.TensorProto.FLOAT16
    }
    for one, other in zip(outputs(gpu, exact, shape), outputs(gpu, gpu.in_half(exact), shape), strict=True):
        np.testing.assert_allclose(one, other, atol=0.01)


def test_the_shape_of_an_encoder_is_read_from_its_graph_int8_or_not(gpu: ModuleType, shape: Any, encoder: Any) -> None:
    from retrain.export import export_encoder, quantise

    exact = export_encoder(encoder)
    assert gpu.shape_of(exact) == gpu.shape_of(quantise(exact)) == shape
    weights = sum(each.numel() for each in encoder.bert.encoder.parameters() if each.ndim == 2)
    assert shape.parameters_of_layers == weights


def test_without_a_card_it_says_so_and_ends_well(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert "no CUDA card" in capsys.readouterr().out


def test_dequantising_undoes_quantising_but_for_the_rounding_of_weights(
    bench: Callable[[str], ModuleType], gpu: ModuleType, shape: Any, encoder: Any
) -> None:
    import onnx
    from onnx import numpy_helper

    from retrain.export import export_encoder, quantise

    dequantised = bench("dequantised")
    exact = export_encoder(encoder)
    small = quantise(exact)
    back = dequantised.dequantised(small)
    assert [dequantised.is_quantised(model) for model in (exact, small, back)] == [False, True, False]
    before, after = (
        {each.name: numpy_helper.to_array(each) for each in onnx.load_from_string(model).graph.initializer}
        for model in (exact, back)
    )
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, atol=np.abs(value).max() / 60)
    operators = [[node.op_type for node in onnx.load_from_string(model).graph.node] for model in (exact, back)]
    assert sorted(operators[0]) == sorted(operators[1])
    near, far = (np.abs(outputs(gpu, model, shape)[0] - outputs(gpu, exact, shape)[0]).max() for model in (back, small))
    assert near < 0.2
    assert far < 0.5
