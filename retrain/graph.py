"""The networks as ONNX graphs, written down operator by operator.

ONNX Runtime's optimiser does not find its fused transformer operators in the graphs that exporters make, and a graph
that is written down changes only when this file does. `retrain.export` checks it against the torch network.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[np.float32]]

_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
_MASK_FILTER = -1e4


class _Graph:
    """Nodes and initializers under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, *inputs: str, output: str, domain: str = "", **attributes: object) -> str:
        made = helper.make_node(
            operator, list(inputs), [output], name=f"{output}/{operator}", domain=domain, **attributes
        )
        self.nodes.append(made)
        return output

    def fused(self, operator: str, *inputs: str, output: str, **attributes: object) -> str:
        return self.node(operator, *inputs, output=output, domain="com.microsoft", **attributes)

    def model(self, name: str, *, masks: tuple[str, ...], labels: int, features: int | None = None) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(each, TensorProto.INT64, ["windows", "tokens"])
            for each in ("input_ids", *masks)
        ]
        if features is not None:
            inputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["windows", features]))
        outputs = [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["windows", labels]),
            helper.make_tensor_value_info("contributions", TensorProto.FLOAT, ["windows", "tokens", labels]),
        ]
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)
        return helper.make_model(graph, opset_imports=_OPSETS, ir_version=9, producer_name="plumbline")


def screen_graph(weights: Weights, *, unigram_factor: int, bigram_factor: int) -> onnx.ModelProto:
    """`retrain.model.Screen`. The table is kept in float16: its entries are small and rounding them does not show."""
    graph = _Graph()
    buckets, labels = weights["table.weight"].shape
    table = graph.constant("table", weights["table.weight"].astype(np.float16))
    modulus = graph.constant("buckets", np.asarray(buckets, dtype=np.int64))
    unigram = graph.constant("unigram_factor", np.asarray(unigram_factor, dtype=np.int64))
    bigram = graph.constant("bigram_factor", np.asarray(bigram_factor, dtype=np.int64))
    one = graph.constant("one", np.asarray(1, dtype=np.int64))
    pads = graph.constant("pads", np.asarray([0, 0, 0, 1], dtype=np.int64))
    starts, ends = graph.constant("starts", np.asarray([1])), graph.constant("ends", np.asarray([2**31 - 1]))
    axis = graph.constant("axis", np.asarray([1]))

    scaled = graph.node("Mul", "input_ids", unigram, output="scaled")
    padded = graph.node("Pad", scaled, pads, output="padded")
    following = graph.node("Slice", padded, starts, ends, axis, output="following")
    pairs = graph.node("Mul", "input_ids", bigram, output="pairs")
    pairs = graph.node("Add", pairs, following, output="pairs_following")
    pairs = graph.node("Add", pairs, one, output="pairs_plus_one")
    looked_up = [
        graph.node(
            "Gather", table, graph.node("Mod", hashed, modulus, output=f"{hashed}_bucket"), output=f"{hashed}_row"
        )
        for hashed in (scaled, pairs)
    ]
    both = [graph.node("Cast", row, to=TensorProto.FLOAT, output=f"{row}_float") for row in looked_up]
    tokens = graph.node("Add", *both, output="tokens")

    mask = graph.node("Cast", "agent_mask", to=TensorProto.FLOAT, output="mask")
    count = graph.node("ReduceSum", mask, axis, keepdims=1, output="count")
    count = graph.node("Max", count, graph.constant("at_least", np.asarray(1, dtype=np.float32)), output="some")
    scale = graph.node("Div", mask, graph.node("Sqrt", count, output="root"), output="scale")
    column = graph.node("Unsqueeze", scale, graph.constant("last", np.asarray([2])), output="scale_column")
    graph.node("Mul", tokens, column, output="contributions")
    text = graph.node("ReduceSum", "contributions", axis, keepdims=0, output="text")
    structure = graph.node(
        "Gemm",
        "features",
        graph.constant("feature_weight", weights["features.weight"]),
        graph.constant("feature_bias", weights["features.bias"]),
        transB=1,
        output="structure",
    )
    graph.node("Add", text, structure, output="logits")
    return graph.model("screen", masks=("agent_mask",), labels=labels, features=weights["features.weight"].shape[1])


def encoder_graph(weights: Weights, *, layers: int, heads: int, epsilon: float) -> onnx.ModelProto:
    """`retrain.model.Encoder`: a BERT encoder of fused operators with attention pooling per label on top."""
    graph = _Graph()
    labels = len(weights["bias"])
    graph.node("Cast", "attention_mask", to=TensorProto.INT32, output="mask32")
    hidden = _embeddings(graph, weights, epsilon)
    for layer in range(layers):
        hidden = _layer(graph, weights, f"bert.encoder.layer.{layer}", hidden, heads, epsilon)
    _pooling(graph, weights, hidden)
    return graph.model("encoder", masks=("attention_mask", "agent_mask"), labels=labels)


def _embeddings(graph: _Graph, weights: Weights, epsilon: float) -> str:
    base = "bert.embeddings"
    # Every token is of segment 0: its embedding is added to the positions once and for all.
    positions = weights[f"{base}.position_embeddings.weight"] + weights[f"{base}.token_type_embeddings.weight"][0]
    table = graph.constant("position_embeddings", positions)
    length = graph.node("Shape", "input_ids", start=1, end=2, output="length")
    zero, axis = graph.constant("first_position", np.asarray([0])), graph.constant("position_axis", np.asarray([0]))
    placed = graph.node("Slice", table, zero, length, axis, output="positions")
    words = graph.constant("word_embeddings", weights[f"{base}.word_embeddings.weight"])
    embedded = graph.node("Gather", words, "input_ids", output="words")
    summed = graph.node("Add", embedded, placed, output="words_at_positions")
    gain = graph.constant("embedding_norm_gain", weights[f"{base}.LayerNorm.weight"])
    bias = graph.constant("embedding_norm_bias", weights[f"{base}.LayerNorm.bias"])
    return graph.node("LayerNormalization", summed, gain, bias, epsilon=epsilon, output="embedded")


def _layer(graph: _Graph, weights: Weights, base: str, hidden: str, heads: int, epsilon: float) -> str:
    def weight(name: str) -> str:  # torch keeps [out, in]; MatMul wants [in, out]
        return graph.constant(f"{base}.{name}.T", weights[f"{base}.{name}.weight"].T)

    def vector(name: str) -> str:
        return graph.constant(f"{base}.{name}", weights[f"{base}.{name}"])

    projections = [f"{base}.attention.self.{name}" for name in ("query", "key", "value")]
    joined = np.concatenate([weights[f"{name}.weight"].T for name in projections], axis=1)
    biases = np.concatenate([weights[f"{name}.bias"] for name in projections])
    attended = graph.fused(
        "Attention",
        hidden,
        graph.constant(f"{base}.qkv", joined),
        graph.constant(f"{base}.qkv_bias", biases),
        "mask32",
        num_heads=heads,
        mask_filter_value=_MASK_FILTER,
        output=f"{base}.attended",
    )

    def normalised(name: str, new: str, residual: str) -> str:
        norm = [vector(f"{name}.LayerNorm.weight"), vector(f"{name}.LayerNorm.bias"), vector(f"{name}.dense.bias")]
        return graph.fused(
            "SkipLayerNormalization", new, residual, *norm, epsilon=epsilon, output=f"{base}.{name}.normalised"
        )

    projected = graph.node("MatMul", attended, weight("attention.output.dense"), output=f"{base}.projected")
    middle = normalised("attention.output", projected, hidden)
    wide = graph.node("MatMul", middle, weight("intermediate.dense"), output=f"{base}.wide")
    active = graph.fused("BiasGelu", wide, vector("intermediate.dense.bias"), output=f"{base}.active")
    narrow = graph.node("MatMul", active, weight("output.dense"), output=f"{base}.narrow")
    return normalised("output", narrow, middle)


def _pooling(graph: _Graph, weights: Weights, hidden: str) -> None:
    attention = graph.node(
        "MatMul", hidden, graph.constant("pool_weight", weights["attention.weight"].T), output="pool_scores_unbiased"
    )
    attention = graph.node(
        "Add", attention, graph.constant("pool_bias", weights["attention.bias"]), output="pool_scores"
    )
    of_agent = graph.node(
        "Unsqueeze",
        graph.node("Cast", "agent_mask", to=TensorProto.BOOL, output="of_agent_flat"),
        graph.constant("pool_last", np.asarray([2])),
        output="of_agent",
    )
    filler = graph.constant("pool_filler", np.asarray(_MASK_FILTER, dtype=np.float32))
    visible = graph.node("Where", of_agent, attention, filler, output="pool_visible")
    pooling = graph.node("Softmax", visible, axis=1, output="pooling")
    tokens = graph.node(
        "MatMul", hidden, graph.constant("token_weight", weights["token_logits.weight"].T), output="token_logits"
    )
    graph.node("Mul", pooling, tokens, output="contributions")
    total = graph.node(
        "ReduceSum", "contributions", graph.constant("pool_axis", np.asarray([1])), keepdims=0, output="total"
    )
    graph.node("Add", total, graph.constant("label_bias", weights["bias"]), output="logits")


HEAD_NODES = ("pool_scores_unbiased/MatMul", "token_logits/MatMul")
"""Not quantised: they are tiny, and every logit and every piece of evidence passes through them."""
