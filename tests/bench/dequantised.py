"""An int8 encoder's graph as the float32 graph of the very same weights: what int8 costs and buys, and nothing else.

It undoes what `retrain.export.quantise` does to the operators of `retrain.graph`, and knows no others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_OF_ATTENTION = ("num_heads", "mask_filter_value")


def is_quantised(model: bytes) -> bool:
    """Whether `model` has int8 operators at all."""
    return any(node.op_type == "MatMulInteger" for node in onnx.load_from_string(model).graph.node)


def dequantised(model: bytes) -> bytes:
    """`model` with float32 operators on its weights, which are int8 times a scale; activations are not rounded."""
    graph = onnx.load_from_string(model)
    initializers = {each.name: numpy_helper.to_array(each) for each in graph.graph.initializer}
    weights: dict[str, NDArray[np.float32]] = {}
    rounded: dict[str, str] = {}  # int8 activations → the float32 ones that they were made of
    made: set[str] = set()
    gone: set[str] = set()
    nodes: list[Any] = []

    def weight(name: str) -> str:
        base = name.removesuffix("_quantized")
        whole = initializers[name].astype(np.float32) - initializers[f"{base}_zero_point"].astype(np.float32)
        weights[base] = whole * initializers[f"{base}_scale"]
        return base

    def make(operator: str, inputs: list[str], output: str, **more: Any) -> None:
        nodes.append(helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **more))
        made.add(output)

    for node in graph.graph.node:
        first, output = node.input[0], node.output[0]
        if node.op_type == "DynamicQuantizeLinear":
            rounded[output] = first
            gone.update(node.output)
        elif node.op_type == "QAttention":
            kept = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            inputs = [rounded[first], weight(node.input[1]), node.input[2], node.input[5]]
            more = {name: kept[name] for name in _OF_ATTENTION if name in kept}
            make("Attention", inputs, output, domain="com.microsoft", **more)
        elif node.op_type == "MatMulInteger":
            make("MatMul", [rounded[first], weight(node.input[1])], output.removesuffix("_output_quantized"))
            gone.add(output)
        elif node.op_type == "Gather" and first.endswith("_quantized"):
            make("Gather", [weight(first), node.input[1]], output.removesuffix("_quantized"))
            gone.add(output)
        elif gone.isdisjoint(node.input):
            nodes.append(node)
        else:  # scales the integers back: its result is there already, or leads to one that is
            gone.update(set(node.output) - made)

    used = {name for node in nodes for name in node.input}
    tensors = [each for each in graph.graph.initializer if each.name in used]
    tensors += [numpy_helper.from_array(value, name) for name, value in weights.items()]
    inside = helper.make_graph(nodes, graph.graph.name, graph.graph.input, graph.graph.output, tensors)
    whole = helper.make_model(inside, opset_imports=graph.opset_import, ir_version=graph.ir_version)
    data: bytes = whole.SerializeToString()
    return data
