"""What a new bundle costs those who wait for verdicts: batches while versions are swapped, against batches without.

    PYTHONPATH=. python tests/bench/hot_reload.py [--rounds 4] [--batches 22] [--events 4] [--every 5]

In this process: the real scorer and loader, a registry in a folder, the bundle that ships and one that differs by a
threshold. Rounds take turns: in one nothing changes, in the other a version that is not loaded is asked for at one
in so many batches, the first included. A batch's time is that of `prepare` and `complete`.
Target: the 99th percentile grows by no more than the median time of a batch.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Final

import numpy as np
import structlog
from prometheus_client import CollectorRegistry

from deploy.registry import open_registry
from deploy.rollout.state import Rollout, first
from detectors.bundle import load_bundle, rethresholded
from detectors.codec import encode_event
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import MISALIGNMENT
from services.arms.arms import Arms
from services.arms.loader import Loader
from services.arms.loading import Bundles
from services.arms.serving import Serving
from services.detection import configured_detector, detector_at
from services.loop_metrics import BundleMetrics
from services.metrics import ScorerMetrics
from services.records import Record
from services.scorer import Scorer
from services.settings import load_settings
from tests.bench.workload import events

_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Rollouts:
    """Asks for two versions in turn."""

    def __init__(self, versions: list[str]) -> None:
        self._versions = versions
        self._revision = 1

    def next(self) -> None:
        """Asks for the other one."""
        self._revision += 1

    def asked(self) -> Rollout:
        stable = self._versions[self._revision % 2]
        return first(stable, _NOW).model_copy(update={"revision": self._revision})


class Place:
    """A scorer and what it needs."""

    def __init__(self, folder: Path) -> None:
        settings = load_settings(registry_cache=folder / "cache")
        other = folder / "other"
        thresholds = load_bundle(DEFAULT_BUNDLE).manifest.thresholds
        rethresholded(DEFAULT_BUNDLE, other, {**thresholds, MISALIGNMENT: 0.987})
        registry = open_registry(str(folder / "registry"))
        versions = [registry.publish(each, {}) for each in (DEFAULT_BUNDLE, other)]
        self._bundles = Bundles(registry, settings.registry_cache, lambda path: detector_at(path, settings))
        for version in versions:
            registry.fetch(version, settings.registry_cache)
        self.rollouts = Rollouts(versions)
        self._arms = Arms(Serving(configured_detector(settings)))
        metrics = ScorerMetrics(CollectorRegistry())
        self.scorer = Scorer(self._arms.current, verdict_topic="v", max_bytes=2**24, metrics=metrics)
        self.swaps = 0

    def swapping(self, stop: Event) -> Thread:
        """The loader at work until `stop`."""

        def count(_: Serving) -> None:
            self.swaps += 1

        loader = Loader(
            self.rollouts.asked,
            self._bundles.load,
            self._arms,
            poll=0.02,
            metrics=BundleMetrics(CollectorRegistry()),
            on_offer=count,
        )
        thread = Thread(target=loader.run, args=(stop,), name="loader")
        thread.start()
        return thread

    def batch(self, records: list[Record]) -> float:
        """Seconds that it took."""
        began = time.perf_counter()
        self.scorer.complete(self.scorer.prepare(records))
        return time.perf_counter() - began


def records(count: int) -> list[Record]:
    return [
        Record("t", 0, number, event.key.encode(), encode_event(event), _NOW)
        for number, event in enumerate(events(count, seed=1))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batches", type=int, default=22, help="of each round")
    parser.add_argument("--events", type=int, default=4, help="of each batch")
    parser.add_argument("--every", type=int, default=5, help="batches from one swap to the next")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))  # each swap says so
    # The same batches everywhere: what differs between them is no difference between rounds.
    size, sent = arguments.events, records(44)
    batches = [sent[at : at + size] for at in range(0, len(sent) - size + 1, size)]
    quiet: list[float] = []
    swapping: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for _, batch in zip(range(len(batches)), cycle(batches), strict=False):
            place.batch(batch)  # warm
        for _ in range(arguments.rounds):
            quiet += [place.batch(b) for _, b in zip(range(arguments.batches), cycle(batches), strict=False)]
            stop = Event()
            thread = place.swapping(stop)
            for number, b in zip(range(arguments.batches), cycle(batches), strict=False):
                if number % arguments.every == 0:
                    place.rollouts.next()
                swapping.append(place.batch(b))
            stop.set()
            thread.join()
    one = median(quiet)
    told = {name: np.percentile(took, [50, 99]).tolist() for name, took in (("quiet", quiet), ("swapping", swapping))}
    for name, (p50, p99) in told.items():
        print(f"{name}: p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms for a batch of {arguments.events} events")
    added = (told["swapping"][1] - told["quiet"][1]) / one
    print(f"{place.swaps} swaps in {sum(swapping):.0f} s add {added:+.2f} median batches to p99 (target: at most 1)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
