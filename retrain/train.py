"""Trains a bundle from labelled transcripts, and writes into its manifest what it measured of it.

    python -m retrain.train --data DIR --out detectors/bundles/first

`DIR` holds `train/` (the only transcripts that shape weights), and, where they are at hand, `dev/` and `eval_only/` to
measure on.
The same data, seed, versions, number of threads and kind of CPU give the same bundle.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
import sklearn
import tokenizers
import torch
import transformers

from detectors.bundle import ENCODER, MANIFEST, SCREEN, TOKENIZER, write_bundle
from detectors.classifier import Batcher
from detectors.features import FEATURE_NAMES, StructuralFeatures
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.base import base_weights
from retrain.dataset import TrainingWindows, cut, sample, split, training_windows
from retrain.export import export_encoder, export_screen, quantise
from retrain.measurement import Served, decide, measure_folder, pairs_ranked_right, pass_logit
from retrain.model import Encoder, Screen, freeze, load_base
from retrain.optimisation import Schedule, bf16_is_fast, fit
from retrain.sources import data_digest, read_source, source_files

_DECIDING = (torch, transformers, tokenizers, onnx, onnxruntime, sklearn, np)
PASS_RECALL = 0.99
"""Share of held-out misaligned conversations that the screen must let through to the encoder."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How much of each source one network sees."""

    per_source: int
    windows_per_conversation: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the outcome besides the data."""

    name: str = "first"
    seed: int = 7
    held_out: float = 0.15
    max_tokens: int = 256
    overlap: int = 32
    max_windows: int = 64
    encoder_sample: Sample = Sample(per_source=560, windows_per_conversation=2)
    screen_sample: Sample = Sample(per_source=2500, windows_per_conversation=4)
    frozen_layers: int = 3
    buckets: int = 2**16
    false_positive_budget: float = 0.01
    held_out_per_source: int = 150
    measured_per_source: int = 100
    weights: Literal["int8", "float32"] = "int8"
    screen: Schedule = Schedule(epochs=4, batch_size=32, learning_rate=0.02, weight_decay=0.0)
    encoder: Schedule = Schedule(epochs=1, batch_size=16, learning_rate=6e-5, weight_decay=0.01)


def train(recipe: Recipe, data: Path, base: Path, out: Path, pairs: Path | None = None) -> None:
    """Writes a new bundle to `out`, replacing one that is there. `pairs`: contrastive pairs, only to measure on."""
    began = time.monotonic()
    threads = torch.get_num_threads()
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(mode=True)
    rng = np.random.default_rng(recipe.seed)

    # 1. Conversations: a part to fit, a part held out by group.
    files = source_files(data / "train")
    conversations = [conversation for path in files for conversation in read_source(path)]
    to_fit, held_out = split(conversations, held_out=recipe.held_out, seed=recipe.seed)
    say(f"{len(conversations)} conversations, {len(to_fit)} to fit from, {len(held_out)} held out")

    # 2. Windows. The screen is cheap enough to see several times as many as the encoder.
    definition = (base / "tokenizer.json").read_bytes()
    tokenizer = TextTokenizer(definition)
    windower = Windower(tokenizer, max_tokens=recipe.max_tokens, overlap=recipe.overlap, max_windows=recipe.max_windows)

    def windows_of(some: Sample) -> TrainingWindows:
        chosen = sample(to_fit, per_source=some.per_source, rng=rng)
        return training_windows(list(cut(chosen, windower)), per_conversation=some.windows_per_conversation, rng=rng)

    # 3. Networks.
    features = StructuralFeatures(tokenizer)
    screen = Screen(buckets=recipe.buckets, features=len(FEATURE_NAMES), labels=len(LABELS))
    encoder = Encoder(load_base(base), labels=len(LABELS))
    freeze(encoder, layers=recipe.frozen_layers)
    seen: dict[str, Any] = {}
    for name, network, some, schedule in (
        ("screen", screen, recipe.screen_sample, recipe.screen),
        ("encoder", encoder, recipe.encoder_sample, recipe.encoder),
    ):
        windows = windows_of(some)
        seen[name] = windows.summary()
        say(f"{name}: {seen[name]['windows']} windows")
        batcher = Batcher(features, pad_id=tokenizer.pad_id, size=schedule.batch_size)
        fit(network, windows, batcher, schedule, rng=rng, report=partial(say_of, name))

    # 4. Model files, and the models as they will be served.
    exported = export_encoder(encoder)
    model_files = {
        TOKENIZER: definition,
        SCREEN: export_screen(screen, len(FEATURE_NAMES)),
        ENCODER: exported if recipe.weights == "float32" else quantise(exported),
    }

    # 5. On what was held out: how much the screen lets through, then calibration and thresholds. Then measure.
    kept = list(cut(sample(held_out, per_source=recipe.held_out_per_source, rng=rng), windower))
    screened = Served(model_files, tokenizer, pass_logit=float("inf"), threads=threads).score(kept)
    limit = pass_logit(screened, pass_recall=PASS_RECALL)
    served = Served(model_files, tokenizer, pass_logit=limit, threads=threads)
    scored = served.score(kept)
    decision = decide(scored, false_positive_budget=recipe.false_positive_budget)
    if MISALIGNMENT not in decision.calibration:
        raise ValueError("too few held-out conversations to calibrate on: more data, or a larger held_out share")
    say(f"covered: {', '.join(decision.calibration)}; pass logit {limit}")
    metrics: dict[str, Any] = {"held_out": decision.measure(scored, seed=recipe.seed)}
    measured = [path for folder in ("dev", "eval_only") for path in source_files(data / folder)]
    measured += source_files(pairs) if pairs else []
    for folder in ("dev", "eval_only"):
        for path in source_files(data / folder):
            drawn = sample(list(read_source(path)), per_source=recipe.measured_per_source, rng=rng)
            source = path.name.split(".")[0]
            metrics[f"{folder}/{source}"] = measure_folder(served, decision, drawn, windower, seed=recipe.seed)
            say(f"{folder}/{source}: {metrics[f'{folder}/{source}']['misalignment']}")
    if pairs is not None:
        twins = list(cut((twin for path in source_files(pairs) for twin in read_source(path)), windower))
        scored = served.score(twins)
        metrics["shipped_pairs"] = {
            **pairs_ranked_right(decision, scored, [twin.conversation.group for twin in twins]),
            **decision.measure(scored, seed=recipe.seed),
        }
        say(f"shipped pairs: {metrics['shipped_pairs']}")

    # 6. The bundle.
    staging = out.with_name(f"{out.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    manifest = write_bundle(
        staging,
        model_files,
        name=recipe.name,
        labels=LABELS,
        features=FEATURE_NAMES,
        max_tokens=recipe.max_tokens,
        overlap=recipe.overlap,
        pass_logit=limit,
        calibration=decision.calibration,
        thresholds=decision.thresholds,
        false_positive_budget=recipe.false_positive_budget,
        data={
            "digest": data_digest(files),
            "sources": [path.name for path in files],
            "digest_of_measured": data_digest(measured),
            "seen_by": seen,
            "held_out_share_misaligned": decision.share_misaligned,
        },
        training={
            "recipe": asdict(recipe),
            "threads": threads,
            "bfloat16": bf16_is_fast(),
            "versions": {module.__name__: module.__version__ for module in _DECIDING},
        },
        metrics=metrics,
    )
    if out.exists():
        shutil.rmtree(out)
    staging.rename(out)
    say(f"{manifest.version} in {out} after {(time.monotonic() - began) / 60:.0f} min")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def say_of(what: str, line: str) -> None:
    say(f"{what}: {line}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ (and dev/, eval_only/)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle; one that is there is replaced")
    parser.add_argument("--pairs", type=Path, help="folder of contrastive pairs to measure on")
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--weights", choices=["int8", "float32"], default="int8", help="float32 for GPUs")
    parser.add_argument("--threads", type=int, default=2, help="part of what makes a run repeatable")
    arguments = parser.parse_args()
    if not source_files(arguments.data / "train"):
        say(f"no training data: {arguments.data / 'train'} has no .jsonl or .jsonl.gz files")
        return 2
    if arguments.out.exists() and not (arguments.out / MANIFEST).is_file():
        say(f"{arguments.out} is there and is no bundle: it is left alone")
        return 2
    torch.set_num_threads(arguments.threads)
    train(
        Recipe(seed=arguments.seed, weights=arguments.weights),
        arguments.data,
        base_weights(),
        arguments.out,
        arguments.pairs,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
