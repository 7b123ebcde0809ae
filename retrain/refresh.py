"""The quick path from confirmed labels to a candidate: everything of the champion but its encoder is refitted.

    python -m retrain.refresh --champion DIR --dataset DIR --out DIR

The dataset's calibration part, some of its training part and Plumbline's own held-out pairs are read by the champion's
encoder; `retrain.refreshing` does the rest. Needs no torch. Progress goes to standard output as JSON lines. The same
inputs, seed and number of threads give the same version.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, zip_longest
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import scipy
import sklearn
import tokenizers
from threadpoolctl import threadpool_limits

from detectors.bundle import MANIFEST, SCREEN, Bundle, Manifest, load_bundle
from detectors.errors import BundleError
from detectors.taxonomy import LABELS
from retrain.agreement import HALF, compared
from retrain.ancestor import begun_from
from retrain.candidate import Labels, open_labels, write_candidate
from retrain.corpus import Pair, read_pairs
from retrain.leaving import leave
from retrain.logit_cache import LogitCache
from retrain.observed import Observer, joined
from retrain.progress import JsonLines, Say, within
from retrain.refreshing import Material, Refit, Refreshed, refreshed
from retrain.replay import HeldOut, replayed
from retrain.sources import LabelledConversation
from retrain.words import screen_model

_COMPARED = 64
"""Conversations on which the screen's file is held against what was fitted."""

_DECIDING = (tokenizers, onnx, onnxruntime, scipy, sklearn, np)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the outcome besides the data.

    `max_windows`: of a conversation, from both its ends. `most_read`: training labels that the encoder reads, for the
    heads to be fitted to; heads have few weights, and the encoder takes most of the time. The screen learns from all.
    """

    seed: int = 7
    max_windows: int = 16
    most_read: int = 100
    refit: Refit = Refit()


def refresh(
    recipe: Recipe,
    champion: Bundle,
    labels: Labels,
    pairs: Sequence[Pair],
    out: Path,
    *,
    name: str | None = None,
    threads: int = 2,
    cache: LogitCache | None = None,
    say: Say,
) -> Manifest:
    """Writes a candidate to `out`. Raises `ValueError` where there is too little to fit to."""
    held_out = HeldOut.of(champion.manifest)
    _, unseen = replayed(pairs, held_out)
    new, agreement = refit_to(
        recipe, champion, labels, unseen, held_out=held_out, threads=threads, cache=cache, say=say
    )
    say(0.95, f"refitted the screen for {', '.join(new.screens) or 'no label'}")
    manifest = write_candidate(
        out,
        champion,
        champion.manifest,
        new,
        labels,
        encoder=held_out,
        name=name or champion.manifest.name,
        training={"recipe": {"kind": "refresh", **asdict(recipe)}, "threads": threads, "versions": versions()},
        metrics={"parity": {"screen": agreement}},
        seed=recipe.seed,
    )
    say(1.0, f"wrote {manifest.version}")
    return manifest


def refit_to(
    recipe: Recipe,
    bundle: Bundle,
    labels: Labels,
    unseen: Sequence[LabelledConversation],
    *,
    held_out: HeldOut,
    threads: int,
    cache: LogitCache | None,
    say: Say,
    first: float = 0.0,
) -> tuple[Refreshed, Mapping[str, float]]:
    """`bundle` refitted to `labels` and to pairs that its encoder never saw; how far the screen's file agrees with it.

    `first`: progress so far. Pairs and labels are read in batches of their own, so that what is kept of the pairs is
    what would be computed. Raises `ValueError` with too little to fit to, `ParityError` where the file says otherwise.
    """
    bundle = begun_from(bundle)
    observer = Observer(bundle, max_windows=recipe.max_windows, threads=threads)
    ends = [first + part * (0.9 - first) for part in (0.3, 0.85, 1.0)]
    replay = observer.observe(unseen, cache=cache, share=within(say, first, ends[0], "reading replayed conversations"))
    # What an encoder says of labels that it was trained on is no evidence.
    most = 0 if held_out.saw_labels else recipe.most_read
    read, left = evenly(labels.train, most, seed=recipe.seed)
    train = observer.observe(read, share=within(say, ends[0], ends[1], "reading labels to learn from"))
    words = observer.screened(left)
    rest = observer.observe(labels.calibration, share=within(say, ends[1], ends[2], "reading labels to calibrate on"))
    learnt = len(train) + len(words) + len(rest)
    if not learnt:
        raise ValueError("no labelled conversation in which the agent says something")
    say(0.9, f"fitting to {learnt} labelled conversations and {len(replay)} replayed ones")
    parts = [replay, train, words, rest]
    sizes = [len(part) for part in parts]
    material = Material(
        joined(parts),
        deployed=np.repeat([False, True, True, True], sizes),
        for_heads=np.repeat([True, True, False, True], sizes),
    )
    with threadpool_limits(limits=1):  # many tiny problems: with threads these take ten times as long
        new = refreshed(material, bundle.manifest, recipe.refit)
    return new, _agreement(observer, bundle, new, [*labels.train, *labels.calibration][:_COMPARED])


def evenly(
    conversations: Sequence[LabelledConversation], most: int, *, seed: int
) -> tuple[list[LabelledConversation], list[LabelledConversation]]:
    """(up to `most`, the others), each in their order: as many of each combination of labels, all of rare ones."""
    by_labels: defaultdict[bytes, list[int]] = defaultdict(list)
    for place in np.random.default_rng(seed).permutation(len(conversations)).tolist():
        by_labels[(conversations[place].labels > 0).tobytes()].append(place)
    turns = zip_longest(*(by_labels[key] for key in sorted(by_labels)))
    chosen = {*islice((place for turn in turns for place in turn if place is not None), most)}
    return (
        [each for place, each in enumerate(conversations) if place in chosen],
        [each for place, each in enumerate(conversations) if place not in chosen],
    )


def _agreement(
    observer: Observer, bundle: Bundle, new: Refreshed, conversations: Sequence[LabelledConversation]
) -> Mapping[str, float]:
    """Of the screen as it was fitted and as its file computes it. Raises `ParityError` beyond `HALF`."""
    seen = observer.screened(conversations)
    fitted = seen.screen.copy()
    for label, screen in new.screens.items():
        fitted[:, LABELS.index(label)] = screen.logits(seen, label)
    served = observer.screen_logits(conversations, screen_model(bundle.files[SCREEN], new.screens))
    return compared(fitted.astype(np.float32), served, HALF, "the screen's file")


def versions(*more: ModuleType) -> dict[str, str]:
    """Of the libraries that decide the outcome."""
    return {module.__name__: module.__version__ for module in (*_DECIDING, *more)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--champion", type=Path, required=True, help="folder of the bundle to start from")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of a dataset version")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the candidate; one that is there is replaced"
    )
    parser.add_argument("--name", help="of the candidate; the champion's if not given")
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    parser.add_argument("--threads", type=int, default=2, help="part of what makes a run repeatable")
    parser.add_argument("--cache", type=Path, help="folder to keep what the encoder says of the replayed pairs in")
    arguments = parser.parse_args()
    if arguments.out.exists() and not (arguments.out / MANIFEST).is_file():
        print(f"{arguments.out} is there and is no bundle: it is left alone", file=sys.stderr)
        return 2
    try:
        refresh(
            Recipe(seed=arguments.seed),
            load_bundle(arguments.champion),
            open_labels(arguments.dataset),
            read_pairs("train"),
            arguments.out,
            name=arguments.name,
            threads=arguments.threads,
            cache=LogitCache(arguments.cache) if arguments.cache else None,
            say=JsonLines(sys.stdout),
        )
    except (ValueError, BundleError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    leave(main())
