"""How long a retrain takes: the quick path from labels to a candidate, and an epoch of the full path.

    python tests/bench/retraining.py [--labels 500] [--threads 2] [--steps 20]

Labels are Plumbline's own pairs, told apart by name only: conversations of the length and the make of real ones, in
half of which something is wrong. The quick path is run whole, first with nothing kept of the replayed pairs and then
again with it. Of the full path `--steps` batches are run, evenly over their lengths, and an epoch is counted up from
them. Beside the clock stands what the processor was busy for: where others share the machine, that is the steadier
number. Prints Markdown.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from detectors.bundle import ENCODER, TOKENIZER, Bundle, load_bundle
from detectors.classifier import Batcher
from detectors.features import StructuralFeatures
from detectors.loading import DEFAULT_BUNDLE, windower_of
from detectors.tokens import TextTokenizer
from retrain import continued
from retrain.candidate import Labels
from retrain.checkpoint import read_encoder
from retrain.corpus import conversations, read_pairs
from retrain.dataset import Unit, training_units
from retrain.logit_cache import LogitCache
from retrain.model import freeze
from retrain.optimisation import fit
from retrain.ranks import bf16_is_fast
from retrain.refresh import Recipe, refresh
from retrain.replay import HeldOut
from retrain.sources import LabelledConversation

_CALIBRATION = 0.2
_DOING = {"fitting": "fitting", "refitted": "measuring and writing", "wrote": "closing"}


class Clock:
    """Seconds of the wall and of this process on all cores, by name."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        began, busy = time.perf_counter(), _busy()
        yield
        self.add(name, began, busy)

    def add(self, name: str, began: float, busy: float) -> None:
        """What has gone on from then to now."""
        self.rows.append((name, time.perf_counter() - began, _busy() - busy))
        print(f"| {name} | {self.rows[-1][1]:.1f} | {self.rows[-1][2]:.1f} |", flush=True)


def _busy() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def labels(count: int) -> Labels:
    """`count` conversations, half of them misaligned; from the pairs, over and over where there are not enough."""
    drawn = list(conversations([*read_pairs("train"), *read_pairs("test")]))
    made = [_named(drawn[n % len(drawn)], n) for n in np.random.default_rng(5).permutation(count).tolist()]
    apart = int(count * _CALIBRATION)
    return Labels("ds-000000000000", "0" * 64, made[apart:], made[:apart])


def _named(conversation: LabelledConversation, number: int) -> LabelledConversation:
    return replace(conversation, source="human", group=f"{conversation.group}/{number}", contrasted=False, turns=None)


def quick(clock: Clock, champion: Bundle, given: Labels, *, threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("nothing kept", "the pairs kept"):
            said = _Parts(clock, f"quick path, {name}")
            with clock.timing(f"quick path, {name}: all of it"):
                cache = LogitCache(Path(folder) / "cache")
                refresh(
                    Recipe(),
                    champion,
                    given,
                    read_pairs("train"),
                    Path(folder) / "out",
                    threads=threads,
                    cache=cache,
                    say=said,
                )
            said.end()


class _Parts:
    """Times what a run says that it does."""

    def __init__(self, clock: Clock, prefix: str) -> None:
        self._clock, self._prefix = clock, prefix
        self._now = ("starting", time.perf_counter(), _busy())

    def __call__(self, progress: float, said: str) -> None:
        doing = next((what for begins, what in _DOING.items() if said.startswith(begins)), said)
        if doing != self._now[0]:
            self.end()
            self._now = (doing, time.perf_counter(), _busy())

    def end(self) -> None:
        name, began, busy = self._now
        self._clock.add(f"{self._prefix}: {name}, and on", began, busy)


def full(clock: Clock, champion: Bundle, given: Labels, *, steps: int) -> tuple[int, int]:
    """Times some of an epoch; (windows that were timed, windows of the epoch)."""
    recipe = continued.Recipe()
    rng = np.random.default_rng(recipe.seed)
    pairs, held_out = read_pairs("train"), HeldOut.of(champion.manifest)
    shown = continued.conversations_of(recipe, given, pairs, held_out, None, rng=rng)
    tokenizer = TextTokenizer(champion.files[TOKENIZER])
    windower = windower_of(champion.manifest, tokenizer, max_windows=recipe.refresh.max_windows)
    batcher = Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=16)
    units = training_units(shown.to_fit, windower, per_bag=recipe.windows_per_bag, dropout=recipe.dropout, rng=rng)
    some = _evenly(units, windows=steps * recipe.encoder.batch_size)
    encoder = read_encoder(champion.files[ENCODER])
    freeze(encoder, layers=recipe.frozen_layers)
    once = replace(recipe.encoder, epochs=1, patience=None)
    with clock.timing("full path: timed batches"):
        fit(encoder, some, batcher, once, rng=rng, report=lambda line: None)
    return sum(unit.windows for unit in some), sum(unit.windows for unit in units)


def _evenly(units: Sequence[Unit], *, windows: int) -> list[Unit]:
    by_length = sorted(units, key=lambda unit: max(len(window) for bag in unit.bags for window in bag.windows))
    return by_length[:: max(1, round(sum(unit.windows for unit in units) / windows))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    champion, given, clock = load_bundle(DEFAULT_BUNDLE), labels(arguments.labels), Clock()
    print(f"{arguments.labels} labels, {champion.manifest.version}, {arguments.threads} threads; ", end="")
    print(f"bfloat16 {'in hardware' if bf16_is_fast() else 'emulated'}\n")
    print("| | wall s | CPU s |\n|---|---|---|")
    quick(clock, champion, given, threads=arguments.threads)
    timed, windows = full(clock, champion, given, steps=arguments.steps)
    _, wall, busy = clock.rows[-1]
    share = windows / timed
    print(f"| full path: an epoch of {windows} windows, counted up | {wall * share:.0f} | {busy * share:.0f} |")
    ideal = busy * share / arguments.threads
    print(f"\nAn epoch on {arguments.threads} cores of one's own: about {ideal:.0f} s.")


if __name__ == "__main__":
    main()
