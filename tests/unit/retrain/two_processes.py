"""A tiny encoder learns, alone or as one of several processes of torchrun, and leaves its weights in a folder.

python two_processes.py ACCUMULATE FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

from detectors.classifier import Batcher
from detectors.features import StructuralFeatures
from detectors.taxonomy import LABELS
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.corpus import conversations, read_pairs
from retrain.dataset import Dropout, training_units
from retrain.mining import hardest
from retrain.model import Encoder
from retrain.optimisation import Schedule, fit
from retrain.ranks import ranks


def main(accumulate: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    tokenizer = TextTokenizer((Path(__file__).parents[2] / "data" / "wordpiece.json").read_bytes())
    windower = Windower(tokenizer, max_tokens=40, overlap=8, max_windows=4, context_chars=60)
    batcher = Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=8)
    config = BertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    encoder = Encoder(BertModel(config, add_pooling_layer=False), labels=len(LABELS))
    no_dropout, some = Dropout(context=0, reasoning=0), list(conversations(read_pairs("train")[:32]))
    units, held_back = (
        training_units(part, windower, per_bag=1, dropout=no_dropout, rng=np.random.default_rng(1))
        for part in (some[:48], some[48:])
    )
    schedule = Schedule(epochs=3, batch_size=4, learning_rate=1e-3, weight_decay=0.01, accumulate=accumulate)
    with ranks("cpu") as rank:
        losses = fit(
            encoder,
            units,
            batcher,
            schedule,
            rng=np.random.default_rng(2),
            report=lambda line: None,
            held_back=held_back,
            rank=rank,
        )
        hard = hardest(encoder, units, batcher, share=0.2, windows=8, rank=rank)
        found = {
            "weights": encoder.state_dict(),
            "losses": losses,
            "hard": [index for index, unit in enumerate(units) if any(unit is each for each in hard)],
        }
        torch.save(found, folder / f"{rank.number}-of-{rank.of}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
