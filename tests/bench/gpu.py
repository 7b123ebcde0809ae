"""The encoder on a CUDA machine: ONNX Runtime in fp16 against torch eager in fp16 and bf16, as shares of the card.

    python tests/bench/gpu.py [--windows 256] [--tokens 256] [--rounds 7]

One network, with the shape of the bundle's encoder and random weights (values do not change the speed), in all three.
ONNX Runtime gets its inputs on the card and leaves its outputs there (IO binding). The ceiling is the card's own bf16
matrix product, measured in the same rounds. Without a CUDA card it says so and exits 0.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import Tensor
from transformers import BertConfig, BertModel

from detectors.bundle import ENCODER
from detectors.loading import DEFAULT_BUNDLE
from retrain.export import export_encoder
from retrain.model import Encoder

_HEAD = ("pool", "of_agent", "token_logits", "contributions", "total", "logits")
"""Nodes behind the last layer, by the beginning of what they compute: float32 in torch too."""
_OUTPUTS = ("logits", "contributions")
_NUMPY = {torch.float32: np.float32, torch.int64: np.int64}
_CEILING_SIZE = 8192


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides how much an encoder computes."""

    layers: int
    hidden: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    labels: int

    @property
    def parameters_of_layers(self) -> int:
        """Weights that every token is multiplied with."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.inner)

    def floating_point_operations(self, windows: int, tokens: int) -> float:
        """Of one forward pass: two for each weight and token, and attention's two products."""
        attention = 4 * self.layers * tokens * self.hidden
        return float(windows * tokens * (2 * self.parameters_of_layers + attention))


def shape_of(model: bytes) -> Shape:
    """Of an encoder as `retrain.graph` writes it, int8 or not."""
    graph = onnx.load_from_string(model).graph
    dims = {each.name.removesuffix("_quantized"): list(each.dims) for each in graph.initializer}
    attention = [node for node in graph.node if node.op_type in ("Attention", "QAttention")]
    heads = next(each.i for each in attention[0].attribute if each.name == "num_heads")
    vocabulary, hidden = dims["word_embeddings"]
    return Shape(
        layers=len(attention),
        hidden=hidden,
        heads=heads,
        inner=dims["bert.encoder.layer.0.intermediate.dense.bias"][0],
        vocabulary=vocabulary,
        positions=dims["position_embeddings"][0],
        labels=dims["label_bias"][0],
    )


def network(shape: Shape) -> Encoder:
    """An encoder of `shape`, its weights random and the same each time."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.positions,
    )
    config._attn_implementation = "sdpa"
    made = Encoder(BertModel(config, add_pooling_layer=False), labels=shape.labels)
    made.eval()
    return made


def in_half(model: bytes) -> bytes:
    """`model` (float32) in float16 up to its last layer; inputs, outputs and what lies behind stay as they are."""
    whole = onnx.load_from_string(model)
    head = [node for node in whole.graph.node if node.name.startswith(_HEAD)]
    last = {name for node in head if node.op_type == "MatMul" for name in node.input[:1]}
    for name in last:  # the converter casts only what it knows the type of
        whole.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    names = [node.name for node in head]
    half = convert_float_to_float16(whole, keep_io_types=True, disable_shape_infer=True, node_block_list=names)
    data: bytes = half.SerializeToString()
    return data


class Bound:
    """A session whose inputs and outputs are tensors of torch, read and written where they lie."""

    def __init__(self, model: bytes, *, device: str, inputs: Mapping[str, Tensor], labels: int) -> None:
        provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
        if device == "cuda":
            onnxruntime.preload_dlls()
        self._session = onnxruntime.InferenceSession(model, providers=[provider])
        if self._session.get_providers()[0] != provider:
            raise SystemExit(f"asked for {provider}, ONNX Runtime gave {self._session.get_providers()}")
        windows, tokens = inputs["input_ids"].shape
        self._inputs = {node.name: inputs[node.name].contiguous() for node in self._session.get_inputs()}
        self.logits = torch.empty((windows, labels), dtype=torch.float32, device=device)
        self.contributions = torch.empty((windows, tokens, labels), dtype=torch.float32, device=device)
        self._binding: Any = self._session.io_binding()
        for name, tensor in self._inputs.items():
            self._binding.bind_input(name, device, 0, _NUMPY[tensor.dtype], tuple(tensor.shape), tensor.data_ptr())
        for name, tensor in zip(_OUTPUTS, (self.logits, self.contributions), strict=True):
            self._binding.bind_output(name, device, 0, _NUMPY[tensor.dtype], tuple(tensor.shape), tensor.data_ptr())

    def run(self) -> None:
        """Fills `logits` and `contributions`. The inputs must be complete: they are not waited for."""
        self._session.run_with_iobinding(self._binding)


def inputs_of(shape: Shape, *, windows: int, tokens: int, device: str) -> dict[str, Tensor]:
    """Full windows, three quarters of each the agent's."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, shape.vocabulary, (windows, tokens), generator=generator)
    mask = torch.ones_like(ids)
    agent = (torch.rand(ids.shape, generator=generator) < 0.75).to(torch.int64)
    made = {"input_ids": ids, "attention_mask": mask, "agent_mask": agent}
    return {name: tensor.to(device) for name, tensor in made.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE, help="whose encoder's shape is measured")
    parser.add_argument("--windows", type=int, default=256, help="a batch")
    parser.add_argument("--tokens", type=int, default=256, help="a window")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA card here: nothing was measured")
        return
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        print("a CUDA card, but this ONNX Runtime has no CUDA provider: install the extra 'gpu' instead of 'cpu'")
        return
    shape = shape_of((arguments.bundle / ENCODER).read_bytes())
    with torch.inference_mode():
        _measure(shape, windows=arguments.windows, tokens=arguments.tokens, rounds=arguments.rounds)


def _measure(shape: Shape, *, windows: int, tokens: int, rounds: int) -> None:
    inputs = inputs_of(shape, windows=windows, tokens=tokens, device="cuda")
    exact = network(shape)
    onnx_half = Bound(in_half(export_encoder(exact)), device="cuda", inputs=inputs, labels=shape.labels)
    eager = {name: network(shape).to("cuda") for name in ("float16", "bfloat16")}
    for name, each in eager.items():
        each.bert.to(getattr(torch, name))  # the head stays float32, as in the graph
    reference = exact.to("cuda")(**inputs)[0]
    one, other = (torch.randn((_CEILING_SIZE, _CEILING_SIZE), dtype=torch.bfloat16, device="cuda") for _ in range(2))
    work: dict[str, Callable[[], object]] = {
        "ONNX Runtime fp16": onnx_half.run,
        "torch eager fp16": lambda: eager["float16"](**inputs),
        "torch eager bf16": lambda: eager["bfloat16"](**inputs),
        "bf16 matrix product": lambda: one @ other,
    }
    for each in work.values():
        _seconds(each)
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, each in work.items():
            times[name].append(_seconds(each))
    operations = shape.floating_point_operations(windows, tokens)
    ceilings = [2 * _CEILING_SIZE**3 / seconds for seconds in times["bf16 matrix product"]]
    ours = times["ONNX Runtime fp16"]
    print(f"{torch.cuda.get_device_name()}, {windows} windows of {tokens} tokens, medians of {rounds} rounds")
    for name in list(work)[:3]:
        speedup = median(theirs / seconds for theirs, seconds in zip(times[name], ours, strict=True))
        share = median(operations / seconds / ceiling for seconds, ceiling in zip(times[name], ceilings, strict=True))
        rate = windows * tokens / median(times[name])
        print(
            f"{name}: ONNX Runtime fp16 {speedup:.2f} times as fast; {share:.1%} of the ceiling; {rate:,.0f} tokens/s"
        )
    print(f"ceiling: {median(ceilings) / 1e12:.0f} TFLOP/s in bf16, {_CEILING_SIZE} square")
    difference = float((onnx_half.logits - reference).abs().max())
    print(f"largest difference of a logit, ONNX Runtime fp16 and torch float32: {difference:.4f}")


def _seconds(work: Callable[[], object], *, repeats: int = 5) -> float:
    """Of one call, the card being done before and after."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / repeats


if __name__ == "__main__":
    main()
