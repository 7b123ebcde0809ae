"""Does a fine-tuned encoder hold up better elsewhere when it is told, while it learns, what each source lets expect?

    PYTHONPATH=. python tests/bench/known_sources.py --data DIR [--seeds 7 11]

MiniLM, small samples: each seed trains one encoder with and one without, on the same windows of the pairs and of all
sources but those left out. Prints Markdown as it goes: AUROC of the mean window on the sources that were left out, on
`dev/` and on the test part's English pairs, and how many of these pairs are in order. `retrain.backbone_comparison`
asks the same of frozen networks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from detectors.classifier import Batcher
from detectors.ensemble import run
from detectors.features import StructuralFeatures
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.base import load_base
from retrain.corpus import conversations, read_pairs
from retrain.dataset import CutConversation, Dropout, cut, sample_sources, training_units
from retrain.evaluation import auroc
from retrain.export import export_encoder
from retrain.measurement import pairs_ranked_right
from retrain.model import Encoder, bert, freeze
from retrain.optimisation import Schedule, fit
from retrain.sources import LabelledConversation

LEFT_OUT = ("jbb_artifacts", "openagentsafety", "toolemu_bplaut")
PAIRS = "corpus/test"
_OVERALL = LABELS.index(MISALIGNMENT)
_TRAIN_WINDOWS, _READ_WINDOWS = 2, 8
_MEASURED, _MEASURED_OF_DEV = 80, 120
_SCHEDULE = Schedule(epochs=1, batch_size=16, learning_rate=6e-5, weight_decay=0.01)


def trained(
    to_fit: Sequence[LabelledConversation], windower: Windower, batcher: Batcher, *, seed: int, sources_known: bool
) -> Encoder:
    """MiniLM, its upper half fine-tuned."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    encoder = Encoder(bert(load_base("minilm", iter(()), pieces=0)), labels=len(LABELS))
    freeze(encoder, layers=3)
    units = training_units(
        to_fit, windower, per_bag=_TRAIN_WINDOWS, dropout=Dropout(), rng=rng, sources_known=sources_known
    )
    fit(encoder, units, batcher, _SCHEDULE, rng=rng, report=lambda line: None)
    return encoder


def scores(encoder: Encoder, some: Sequence[CutConversation], batcher: Batcher) -> np.ndarray:
    """[conversations]: logits of overall misalignment, a mean over windows."""
    classifier = OnnxClassifier("encoder", "", export_encoder(encoder), provider=Provider.CPU, threads=2)
    windows = [window for item in some for window in item.windows]
    logits = run(classifier, batcher, windows, labels=len(LABELS)).logits[:, _OVERALL]
    ends = np.cumsum([len(item.windows) for item in some])[:-1]
    return np.asarray([part.mean() for part in np.split(logits, ends)])


def rows(arguments: argparse.Namespace) -> Iterator[str]:
    """Lines of a Markdown table."""
    tokenizer = TextTokenizer(load_base("minilm", iter(()), pieces=0).tokenizer)
    batcher = Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=16)
    windower = Windower(tokenizer, max_tokens=256, overlap=32, max_windows=_READ_WINDOWS, context_chars=300)
    pairs = [item for item in conversations(read_pairs("test")) if item.language == "en"]
    left_out = sample_sources(arguments.data / "train", per_source=_MEASURED, rng=np.random.default_rng(0))
    dev = sample_sources(arguments.data / "dev", per_source=_MEASURED_OF_DEV, rng=np.random.default_rng(0))
    measured = {**{name: left_out[name] for name in LEFT_OUT}, **dev, PAIRS: pairs}
    held = {name: list(cut(some, windower)) for name, some in measured.items()}
    yield f"| seed | sources | {' | '.join(held)} | mean | pairs in order |"
    yield "|---" * (len(held) + 4) + "|"
    for seed in arguments.seeds:
        drawing = np.random.default_rng(seed)
        public = sample_sources(arguments.data / "train", per_source=arguments.per_source, rng=drawing)
        to_fit = [*conversations(read_pairs("train")), *(c for n, s in public.items() if n not in LEFT_OUT for c in s)]
        for known in (False, True):
            encoder = trained(to_fit, windower, batcher, seed=seed, sources_known=known)
            found = {name: scores(encoder, some, batcher) for name, some in held.items()}
            truth = {name: np.asarray([item.conversation.misaligned for item in some]) for name, some in held.items()}
            quality = [auroc(found[name], truth[name]) for name in held]
            groups = [item.conversation.group for item in held[PAIRS]]
            order = pairs_ranked_right(found[PAIRS], truth[PAIRS], groups)
            cells = [*(f"{value:.3f}" for value in quality), f"{np.mean(quality):.3f}"]
            share = f"{order['ranked_right']} of {order['pairs']}"
            yield f"| {seed} | {'known' if known else 'unknown'} | {' | '.join(cells)} | {share} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dev/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 11])
    parser.add_argument("--per-source", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    for line in rows(arguments):
        print(line, flush=True)


if __name__ == "__main__":
    main()
