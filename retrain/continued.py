"""The full path from labels to a candidate: the champion's encoder goes on learning, then all else is refitted.

Started by `python -m retrain.train --champion DIR --dataset DIR --out DIR`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import transformers

from detectors.bundle import ENCODER, TOKENIZER, Bundle, FileDigest, Manifest
from detectors.classifier import Batcher
from detectors.features import StructuralFeatures
from detectors.loading import windower_of
from detectors.tokens import TextTokenizer
from detectors.windows import Windower
from retrain.candidate import Labels, sha256, write_candidate
from retrain.checkpoint import is_quantised, read_encoder
from retrain.corpus import Pair
from retrain.dataset import Dropout, Unit, cut, sample, set_aside, split, summary, training_units
from retrain.export import export_encoder, quantise
from retrain.logit_cache import LogitCache
from retrain.model import freeze
from retrain.observed import BATCH
from retrain.optimisation import Schedule, fit
from retrain.parity import parity
from retrain.progress import Say
from retrain.ranks import ALONE, Rank, bf16_is_fast
from retrain.refresh import Recipe as Refresh
from retrain.refresh import refit_to, versions
from retrain.replay import HeldOut, replayed
from retrain.sources import LabelledConversation, read_source, source_files


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the outcome besides the data.

    `label_passes`: how often labels are shown in an epoch where there are fewer of them than of replayed
    conversations, at most. `held_back`: the share of labels, and of the pairs, that says when to stop. `per_source`:
    how many conversations of each older source are shown, and how many of those held out calibrate.
    """

    refresh: Refresh = Refresh()
    windows_per_bag: int = 2
    label_passes: int = 3
    held_back: float = 0.1
    per_source: int = 100
    dropout: Dropout = Dropout()
    frozen_layers: int = 6
    encoder: Schedule = Schedule(
        epochs=3,
        batch_size=16,
        learning_rate=3e-5,
        weight_decay=0.01,
        fresh_learning_rate=3e-4,
        accumulate=1,
        balanced=True,
        hard_negatives=0.15,
        patience=1,
    )

    @property
    def seed(self) -> int:
        return self.refresh.seed


@dataclass(frozen=True, slots=True)
class Shown:
    """What the encoder learns from, what tells it when to stop, and what it never sees."""

    to_fit: list[LabelledConversation]
    held_back: list[LabelledConversation]
    unseen: list[LabelledConversation]


def train_on(
    recipe: Recipe,
    champion: Bundle,
    labels: Labels,
    pairs: Sequence[Pair],
    out: Path,
    *,
    older: Path | None = None,
    name: str | None = None,
    rank: Rank = ALONE,
    cache: LogitCache | None = None,
    say: Say,
) -> Manifest | None:
    """Writes a candidate to `out`; only the process that leads does, the others give None.

    `older`: a folder with train/, replayed beside the pairs. `cache` serves who refreshes the candidate next. Raises
    `ValueError` where there is too little to fit to, `ParityError` where a model file does not say what was trained.
    """
    threads = torch.get_num_threads()
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(mode=True, warn_only=rank.device != "cpu")
    rng = np.random.default_rng(recipe.seed)

    # 1. Conversations. What the champion's encoder never saw, it does not see now: it is what later heads rest on.
    held_out = HeldOut.of(champion.manifest)
    shown = conversations_of(recipe, labels, pairs, held_out, older, rng=rng)
    say(0.01, f"{len(shown.to_fit)} conversations to learn from, {len(shown.held_back)} held back")

    # 2. The champion's encoder, as it is served, and its windows.
    encoder = read_encoder(champion.files[ENCODER])
    freeze(encoder, layers=recipe.frozen_layers)
    tokenizer = TextTokenizer(champion.files[TOKENIZER])
    windower = windower_of(champion.manifest, tokenizer, max_windows=recipe.refresh.max_windows)
    batcher = Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=BATCH)

    # 3. Learning. Parts are dropped at random from what is learnt from, not from what says when to stop.
    units = _units(recipe, shown.to_fit, windower, recipe.dropout, rng)
    watched = _units(recipe, shown.held_back, windower, Dropout(context=0.0, reasoning=0.0), rng)
    say(0.02, f"{sum(unit.windows for unit in units)} windows in {len(units)} bags and pairs of bags")
    losses = fit(
        encoder,
        units,
        batcher,
        recipe.encoder,
        rng=rng,
        report=_reporting(say, 0.02, 0.6),
        held_back=watched,
        rank=rank,
    )
    if not rank.leads:
        return None

    # 4. Model files, as they will be served, held against the network on real windows.
    encoder.to("cpu")
    exact = export_encoder(encoder)
    shipped = quantise(exact) if is_quantised(champion.files[ENCODER]) else exact
    windows = [window for item in cut(shown.unseen, windower) for window in item.windows]
    found = parity(encoder, exact, shipped, windows, batcher, threads=threads)
    say(0.65, "the model files say what was trained")

    # 5. Screen, heads, calibration and thresholds, over the new encoder.
    trained = _with_encoder(champion, shipped)
    held_out = replace(held_out, saw_labels=True)
    new, of_screen = refit_to(
        recipe.refresh,
        trained,
        labels,
        shown.unseen,
        held_out=held_out,
        threads=threads,
        cache=cache,
        say=say,
        first=0.65,
    )

    # 6. The bundle.
    manifest = write_candidate(
        out,
        trained,
        champion.manifest,
        new,
        labels,
        encoder=held_out,
        name=name or champion.manifest.name,
        training={
            "recipe": {"kind": "continued", **asdict(recipe)},
            "threads": threads,
            "processes": rank.of,
            "device": rank.device,
            "bfloat16": rank.device != "cpu" or bf16_is_fast(),
            "seen_by_encoder": summary(units),
            "held_back_losses": [round(loss, 5) for loss in losses],
            "versions": versions(torch, transformers),
        },
        metrics={"parity": {**found, "screen": of_screen}},
        seed=recipe.seed,
    )
    say(1.0, f"wrote {manifest.version}")
    return manifest


def conversations_of(
    recipe: Recipe,
    labels: Labels,
    pairs: Sequence[Pair],
    held_out: HeldOut,
    older: Path | None,
    *,
    rng: np.random.Generator,
) -> Shown:
    """Labels and what is replayed. Variants of one scenario, and twins, are never on two sides."""
    old, unseen = replayed(pairs, held_out)
    if older is not None:
        sources = [item for path in source_files(older / "train") for item in read_source(path)]
        seen, never = split(sources, held_out=held_out.share, seed=held_out.seed)
        old += sample(seen, per_source=recipe.per_source, rng=rng)
        unseen += sample(never, per_source=recipe.per_source, rng=rng)
    mine, mine_back = set_aside(labels.train, recipe.held_back, seed=recipe.seed)
    replay, replay_back = set_aside(old, recipe.held_back, seed=recipe.seed)
    passes = max(1, min(recipe.label_passes, len(replay) // max(1, len(mine))))
    return Shown([*mine * passes, *replay], [*mine_back, *replay_back], unseen)


def _units(
    recipe: Recipe,
    conversations: Sequence[LabelledConversation],
    windower: Windower,
    dropout: Dropout,
    rng: np.random.Generator,
) -> list[Unit]:
    return training_units(conversations, windower, per_bag=recipe.windows_per_bag, dropout=dropout, rng=rng)


def _reporting(say: Say, first: float, last: float) -> Callable[[str], None]:
    """Says lines of the optimiser, those with `step n/m` as progress from `first` to `last`."""
    reached = first

    def report(line: str) -> None:
        nonlocal reached
        done = line.removeprefix("step ").split(" ", 1)[0].split("/")
        if line.startswith("step "):
            reached = first + (last - first) * min(1.0, int(done[0]) / int(done[1]))
        say(reached, line)

    return report


def _with_encoder(champion: Bundle, encoder: bytes) -> Bundle:
    """The champion with another encoder: for refitting, not yet a bundle that could be written."""
    digests = {**champion.manifest.files, ENCODER: FileDigest(sha256=sha256(encoder), bytes=len(encoder))}
    return Bundle(champion.manifest.model_copy(update={"files": digests}), {**champion.files, ENCODER: encoder})
