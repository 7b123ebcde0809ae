"""A champion whose encoder is a small one with random weights: everything is real but the quality, and it is quick.

The screen, the tokenizer and the windows are those of the bundle that ships; the heads are fitted to what the small
encoder says.

    python -m tests.small_champion FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import tokenizers
import torch
from transformers import BertConfig, BertModel

from detectors.bundle import ENCODER, TOKENIZER, load_bundle, rewritten
from detectors.loading import DEFAULT_BUNDLE, windower_of
from detectors.taxonomy import LABELS
from detectors.tokens import TextTokenizer
from retrain.corpus import conversations, read_pairs
from retrain.dataset import cut
from retrain.export import export_encoder
from retrain.measurement import Served, decide
from retrain.model import Encoder

_PAIRS: Final = 250


def _encoder(vocabulary: int, tokens: int) -> bytes:
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=tokens,
    )
    return export_encoder(Encoder(BertModel(config, add_pooling_layer=False), labels=len(LABELS)))


def write_small_champion(folder: Path) -> None:
    """A new bundle in `folder`."""
    bundle = load_bundle(DEFAULT_BUNDLE)
    manifest = bundle.manifest
    definition = bundle.files[TOKENIZER]
    vocabulary = tokenizers.Tokenizer.from_str(definition.decode()).get_vocab_size()
    files = {**bundle.files, ENCODER: _encoder(vocabulary, manifest.max_tokens)}
    tokenizer = TextTokenizer(definition)
    windower = windower_of(manifest, tokenizer, max_windows=16)
    kept = list(cut(conversations(read_pairs("train")[:_PAIRS]), windower))
    scored = Served(files, tokenizer, pass_logit=manifest.pass_logit, threads=2).score(kept)
    decision = decide(scored, false_positive_budget=manifest.false_positive_budget)
    changed = {"heads": decision.heads, "thresholds": decision.thresholds}
    rewritten(DEFAULT_BUNDLE, folder, files={ENCODER: files[ENCODER]}, name="small", **changed)


if __name__ == "__main__":
    write_small_champion(Path(sys.argv[1]))
