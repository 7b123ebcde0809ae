"""Trains a bundle from labelled transcripts and Plumbline's own pairs.

    python -m retrain.train --data DIR --out detectors/bundles/first
    python -m retrain.train --champion DIR --dataset DIR --out DIR [--data DIR]

The second goes on from a bundle with what people said of a deployment: see `retrain.continued`. Either runs on several
cards or CPUs under `torchrun -m retrain.train ...`.

In the first, `DIR/train/` and `retrain/corpus/train/` are the only transcripts that shape weights; a part of both is
held out, by scenario, for the conversation head, its calibration and the thresholds. How good the bundle is elsewhere
is for `retrain.evaluate` to say. The same data, seed, versions, number of threads and kind of CPU give the same bundle.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import scipy
import tokenizers
import torch
import transformers
from pydantic import JsonValue

from detectors.bundle import ENCODER, MANIFEST, SCREEN, TOKENIZER, load_bundle, write_bundle
from detectors.classifier import Batcher
from detectors.ensemble import run
from detectors.errors import BundleError
from detectors.features import FEATURE_NAMES, StructuralFeatures
from detectors.onnx_classifier import OnnxClassifier, Provider
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.transcript import part_text
from detectors.windows import Windower
from retrain import continued
from retrain.base import Base, load_base
from retrain.candidate import open_labels
from retrain.corpus import Pair, conversations, read_pairs
from retrain.corpus.pairs import SOURCE, corpus_files
from retrain.dataset import Dropout, by_label, cut, sample, set_aside, split, summary, training_units
from retrain.export import export_encoder, export_screen, quantise
from retrain.leaving import leave
from retrain.lexical import fit_screen
from retrain.logit_cache import LogitCache
from retrain.measurement import Served, decide, pass_logit
from retrain.model import Encoder, Screen, bert, freeze
from retrain.optimisation import Schedule, fit
from retrain.parity import parity
from retrain.progress import JsonLines, silent
from retrain.ranks import ALONE, Rank, bf16_is_fast, ranks
from retrain.sources import JUDGED, LabelledConversation, data_digest, read_source, source_files
from retrain.staging import staged

_DECIDING = (torch, transformers, tokenizers, onnx, onnxruntime, scipy, np)


@dataclass(frozen=True, slots=True)
class Sample:
    """How much of each public source the encoder sees; the pairs come whole."""

    per_source: int
    windows_per_bag: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the outcome besides the data."""

    name: str = "first"
    seed: int = 7
    base: Literal["e5", "minilm"] = "e5"
    vocabulary: int = 40_000
    held_out: float = 0.25
    max_tokens: int = 256
    overlap: int = 32
    context_chars: int = 300
    max_windows: int = 64
    encoder_sample: Sample = Sample(per_source=150, windows_per_bag=2)
    corpus_passes: int = 5
    screen_per_source: int = 2500
    dropout: Dropout = Dropout()
    frozen_layers: int = 6
    buckets: int = 2**17
    pass_share: float = 0.8
    false_positive_budget: float = 0.01
    held_out_per_source: int = 120
    weights: Literal["int8", "float32"] = "int8"
    sources_known: bool = False
    """Whether both networks are told, while they learn, what each source lets expect (`retrain.known_sources`)."""
    held_back: float = 0.05
    """Of what the encoder would learn from, to say when to stop; nothing where the schedule has no patience."""
    encoder: Schedule = Schedule(epochs=1, batch_size=16, learning_rate=6e-5, weight_decay=0.01)


BaseOf = Callable[[Iterator[str]], Base]


def train(
    recipe: Recipe,
    data: Path,
    pairs: list[Pair],
    base_of: BaseOf,
    out: Path,
    *,
    judged: Sequence[Path] = (),
    rank: Rank = ALONE,
) -> None:
    """Writes a new bundle to `out`, replacing one that is there. `base_of` gives the weights to start from.

    `judged`: more labelled conversations, by an LLM judge (`plumbline judge --labels`); the bundle names the teachers.
    Of several processes that train together the one that leads writes.
    """
    began = time.monotonic()
    threads = torch.get_num_threads()
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=rank.device != "cpu")
    rng = np.random.default_rng(recipe.seed)

    # 1. Conversations: a part to fit, a part held out by group.
    files = [*source_files(data / "train"), *judged]
    everything = [*conversations(pairs), *(item for path in files for item in read_source(path))]
    to_fit, held_out = split(everything, held_out=recipe.held_out, seed=recipe.seed)
    say(f"{len(everything)} conversations, {len(to_fit)} to fit from, {len(held_out)} held out")

    # 2. The base network and its tokenizer, for the words of these conversations.
    base = base_of(_texts(sample(to_fit, per_source=recipe.encoder_sample.per_source, rng=rng)))
    tokenizer = TextTokenizer(base.tokenizer)
    windower = Windower(
        tokenizer,
        max_tokens=recipe.max_tokens,
        overlap=recipe.overlap,
        max_windows=recipe.max_windows,
        context_chars=recipe.context_chars,
    )
    features = StructuralFeatures(tokenizer)

    # 3. Two networks. The screen is cheap enough to see many times as much as the encoder, which sees the pairs
    #    several times, each time with other parts dropped: public sources would drown them.
    screen = Screen(buckets=recipe.buckets, features=len(FEATURE_NAMES), labels=len(LABELS))
    shown = list(cut(sample(to_fit, per_source=recipe.screen_per_source, rng=rng), windower))
    fit_screen(screen, shown, features, sources_known=recipe.sources_known)
    say(f"screen: {len(shown)} conversations")
    encoder = Encoder(bert(base), labels=len(LABELS))
    freeze(encoder, layers=recipe.frozen_layers)
    chosen = sample(to_fit, per_source=recipe.encoder_sample.per_source, rng=rng)
    patient = recipe.encoder.patience is not None
    chosen, aside = set_aside(chosen, recipe.held_back if patient else 0.0, seed=recipe.seed)
    units = training_units(
        [*chosen, *[item for item in chosen if item.contrasted] * (recipe.corpus_passes - 1)],
        windower,
        per_bag=recipe.encoder_sample.windows_per_bag,
        dropout=recipe.dropout,
        rng=rng,
        sources_known=recipe.sources_known,
    )
    seen: dict[str, JsonValue] = {
        "screen": {
            "windows": sum(len(item.windows) for item in shown),
            "bags": len(shown),
            "by_label": by_label([item.conversation.labels for item in shown]),
        },
        "encoder": summary(units),
    }
    say(f"encoder: {sum(unit.windows for unit in units)} windows in {len(units)} bags and pairs of bags")
    batcher = Batcher(features, pad_id=tokenizer.pad_id, size=recipe.encoder.batch_size)
    watched = training_units(
        aside,
        windower,
        per_bag=recipe.encoder_sample.windows_per_bag,
        dropout=Dropout(context=0.0, reasoning=0.0),
        rng=np.random.default_rng(recipe.seed),
        sources_known=recipe.sources_known,
    )
    report = partial(say_of, "encoder")
    fit(encoder, units, batcher, recipe.encoder, rng=rng, report=report, held_back=watched, rank=rank)
    if not rank.leads:
        return

    # 4. Model files, as they will be served.
    encoder.to("cpu")
    exported = export_encoder(encoder)
    model_files = {
        TOKENIZER: base.tokenizer,
        SCREEN: export_screen(screen, len(FEATURE_NAMES)),
        ENCODER: exported if recipe.weights == "float32" else quantise(exported),
    }

    # 5. On what was held out: how much the screen lets through, then the conversation head and its thresholds.
    kept = list(cut(sample(held_out, per_source=recipe.held_out_per_source, rng=rng), windower))
    screening = OnnxClassifier("screen", "", model_files[SCREEN], provider=Provider.CPU, threads=threads)
    batcher = Batcher(features, pad_id=tokenizer.pad_id, size=16)
    windows = [window for item in kept for window in item.windows]
    agreement = parity(encoder, exported, model_files[ENCODER], windows, batcher, threads=threads)
    screened = run(screening, batcher, windows, labels=len(LABELS)).logits
    limit = pass_logit(screened[:, LABELS.index(MISALIGNMENT)], share=recipe.pass_share)
    scored = Served(model_files, tokenizer, pass_logit=limit, threads=threads).score(kept)
    decision = decide(scored, false_positive_budget=recipe.false_positive_budget)
    if MISALIGNMENT not in decision.heads:
        raise ValueError("too few held-out conversations to calibrate on: more data, or a larger held_out share")
    say(f"covered: {', '.join(decision.heads)}; pass logit {limit}")

    # 6. The bundle.
    with staged(out) as folder:
        manifest = write_bundle(
            folder,
            model_files,
            name=recipe.name,
            labels=LABELS,
            features=FEATURE_NAMES,
            max_tokens=recipe.max_tokens,
            overlap=recipe.overlap,
            context_chars=recipe.context_chars,
            pass_logit=limit,
            heads=decision.heads,
            thresholds=decision.thresholds,
            false_positive_budget=recipe.false_positive_budget,
            data={
                "digest": data_digest([*files, *corpus_files("train")] if pairs else files),
                "sources": [*([SOURCE] if pairs else []), *(path.name.split(".")[0] for path in files)],
                "pairs": len(pairs),
                "teachers": sorted(
                    {item.source.removeprefix(JUDGED) for item in everything if item.source.startswith(JUDGED)}
                ),
                "seen_by": seen,
                "held_out_share_misaligned": decision.share_misaligned,
            },
            training={
                "recipe": asdict(recipe),
                "threads": threads,
                "bfloat16": bf16_is_fast(),
                "versions": {module.__name__: module.__version__ for module in _DECIDING},
            },
            metrics={"held_out": decision.measure(scored, seed=recipe.seed), "parity": agreement},
        )
    say(f"{manifest.version} in {out} after {(time.monotonic() - began) / 60:.0f} min")


def _texts(some: list[LabelledConversation]) -> Iterator[str]:
    for conversation in some:
        for message in conversation.event.messages:
            for part in message.parts:
                yield (part_text(part) or "")[:4000]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def say_of(what: str, line: str) -> None:
    say(f"{what}: {line}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with train/; older data to replay where there is a champion")
    parser.add_argument("--champion", type=Path, help="folder of a bundle whose encoder is to go on learning")
    parser.add_argument("--dataset", type=Path, help="folder of a dataset version: what it learns")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; one that is there is replaced")
    parser.add_argument("--name", help="of the bundle; the champion's, or that of the recipe, if not given")
    parser.add_argument("--judged", type=Path, action="append", default=[], help="labels of `plumbline judge --labels`")
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--base", choices=["e5", "minilm"], default=Recipe().base, help="weights to start from")
    parser.add_argument("--sources-known", action="store_true", help="learn within sources, not what tells them apart")
    parser.add_argument("--weights", choices=["int8", "float32"], default="int8", help="float32 for GPUs")
    parser.add_argument("--threads", type=int, default=2, help="part of what makes a run repeatable")
    parser.add_argument("--cache", type=Path, help="folder for what the new encoder says of replayed pairs")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--epochs", type=int, help="over what the encoder learns from")
    parser.add_argument("--accumulate", type=int, help="batches to a step")
    parser.add_argument("--patience", type=int, help="epochs without a lower held-back loss that end the training")
    parser.add_argument("--hard-negatives", type=float, help="share of aligned conversations that is shown again")
    parser.add_argument("--balanced", action="store_true", default=None, help="positives of rare labels count more")
    arguments = parser.parse_args()
    if (arguments.champion is None) != (arguments.dataset is None):
        parser.error("--champion and --dataset go together")
    if arguments.champion is None and (arguments.data is None or not source_files(arguments.data / "train")):
        say(f"no training data: {arguments.data and arguments.data / 'train'} has no .jsonl or .jsonl.gz files")
        return 2
    if arguments.out.exists() and not (arguments.out / MANIFEST).is_file():
        say(f"{arguments.out} is there and is no bundle: it is left alone")
        return 2
    torch.set_num_threads(arguments.threads)
    try:
        with ranks(arguments.device) as rank:
            _train_as_told(arguments, rank)
    except (ValueError, BundleError) as error:
        say(str(error))
        return 1
    return 0


def _train_as_told(arguments: argparse.Namespace, rank: Rank) -> None:
    if arguments.champion is not None:
        going_on = continued.Recipe(refresh=replace(continued.Recipe().refresh, seed=arguments.seed))
        continued.train_on(
            replace(going_on, encoder=_schedule(going_on.encoder, arguments)),
            load_bundle(arguments.champion),
            open_labels(arguments.dataset),
            read_pairs("train"),
            arguments.out,
            older=arguments.data,
            name=arguments.name,
            rank=rank,
            cache=LogitCache(arguments.cache) if arguments.cache else None,
            say=JsonLines(sys.stdout) if rank.leads else silent,
        )
        return
    recipe = Recipe(
        seed=arguments.seed,
        base=arguments.base,
        weights=arguments.weights,
        sources_known=arguments.sources_known,
    )
    recipe = replace(recipe, name=arguments.name or recipe.name, encoder=_schedule(recipe.encoder, arguments))
    base_of = partial(load_base, recipe.base, pieces=recipe.vocabulary)
    train(recipe, arguments.data, read_pairs("train"), base_of, arguments.out, judged=arguments.judged, rank=rank)


def _schedule(schedule: Schedule, arguments: argparse.Namespace) -> Schedule:
    """`schedule`, with what was asked for."""
    names = ("epochs", "accumulate", "patience", "hard_negatives", "balanced")
    return replace(schedule, **{name: value for name in names if (value := getattr(arguments, name)) is not None})


if __name__ == "__main__":
    leave(main())
