"""A trained encoder read back out of its model file, so that training can go on from what is served.

Knows the graphs of `retrain.graph` and what `retrain.export.quantise` makes of them. Int8 weights come back as the
numbers that they stand for; what rounding took away is gone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from transformers import BertConfig, BertModel

from retrain.model import Encoder

Tensors = Mapping[str, NDArray[np.float32]]

_ATTENTION = ("Attention", "QAttention")
_HEAD = {
    "attention.weight": "pool_weight",
    "attention.bias": "pool_bias",
    "token_logits.weight": "token_weight",
    "bias": "label_bias",
}
_NORMS = ("attention.output", "output")


def is_quantised(model: bytes) -> bool:
    """Whether `model` has int8 operators at all."""
    return any(node.op_type == "MatMulInteger" for node in onnx.load_from_string(model).graph.node)


def read_encoder(model: bytes) -> Encoder:
    """The network that `model` serves. Raises `ValueError` where the graph is not one of ours."""
    graph = onnx.load_from_string(model).graph
    tensors = _dequantised({each.name: numpy_helper.to_array(each) for each in graph.initializer})
    try:
        config = _config(graph, tensors)
        state = {f"bert.{name}": array for name, array in _bert(tensors, config.num_hidden_layers).items()}
        state |= {
            name: tensors[given].T if name.endswith("weight") else tensors[given] for name, given in _HEAD.items()
        }
    except (KeyError, StopIteration, IndexError) as error:
        raise ValueError(f"the model file is not an encoder of ours: {error} is missing") from None
    config._attn_implementation = "sdpa"
    encoder = Encoder(BertModel(config, add_pooling_layer=False), labels=len(tensors["label_bias"]))
    encoder.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})
    encoder.eval()
    return encoder


def _dequantised(initializers: Mapping[str, NDArray[np.generic]]) -> Tensors:
    """By the names that they had before rounding: int8 less their zero point, times their scale (one, or by column)."""
    found = {}
    for name, array in initializers.items():
        base = name.removesuffix("_quantized")
        if base != name:
            zero, scale = initializers[f"{base}_zero_point"], initializers[f"{base}_scale"]
            found[base] = (array.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)
        elif array.dtype == np.float32:
            found[name] = np.asarray(array, dtype=np.float32)
    return found


def _config(graph: onnx.GraphProto, tensors: Tensors) -> BertConfig:
    attention = [node for node in graph.node if node.op_type in _ATTENTION]
    norm = next(node for node in graph.node if node.op_type == "LayerNormalization")
    vocabulary, hidden = tensors["word_embeddings"].shape
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=len(attention),
        num_attention_heads=_attribute(attention[0], "num_heads"),
        intermediate_size=len(tensors["bert.encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(tensors["position_embeddings"]),
        type_vocab_size=1,
        layer_norm_eps=_attribute(norm, "epsilon"),
        attention_probs_dropout_prob=0.0,
    )


def _attribute(node: onnx.NodeProto, name: str) -> int | float:
    found: int | float = next(helper.get_attribute_value(each) for each in node.attribute if each.name == name)
    return found


def _bert(tensors: Tensors, layers: int) -> dict[str, NDArray[np.float32]]:
    """By the names of `BertModel`. Positions come with the embedding of the one token type: that is zero here."""
    found = {
        "embeddings.word_embeddings.weight": tensors["word_embeddings"],
        "embeddings.position_embeddings.weight": tensors["position_embeddings"],
        "embeddings.token_type_embeddings.weight": np.zeros((1, tensors["word_embeddings"].shape[1]), dtype=np.float32),
        "embeddings.LayerNorm.weight": tensors["embedding_norm_gain"],
        "embeddings.LayerNorm.bias": tensors["embedding_norm_bias"],
    }
    for layer in range(layers):
        base, short = f"bert.encoder.layer.{layer}", f"encoder.layer.{layer}"
        thirds = zip(
            ("query", "key", "value"),
            np.split(tensors[f"{base}.qkv"], 3, axis=1),
            np.split(tensors[f"{base}.qkv_bias"], 3),
            strict=True,
        )
        for name, weight, bias in thirds:
            found[f"{short}.attention.self.{name}.weight"] = weight.T
            found[f"{short}.attention.self.{name}.bias"] = bias
        for name in ("attention.output.dense", "intermediate.dense", "output.dense"):
            found[f"{short}.{name}.weight"] = tensors[f"{base}.{name}.T"].T
            found[f"{short}.{name}.bias"] = tensors[f"{base}.{name}.bias"]
        for norm in _NORMS:
            for name in ("weight", "bias"):
                found[f"{short}.{norm}.LayerNorm.{name}"] = tensors[f"{base}.{norm}.LayerNorm.{name}"]
    return found
