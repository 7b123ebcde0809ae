"""The detectors that a scorer begins with, and the thread that keeps them what they should be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final, TypeVar

from deploy.registry import open_registry
from deploy.registry.errors import RegistryError, UnreachableError
from deploy.rollout.state import Rollout
from detectors.detector import Detector
from detectors.errors import DetectorsError
from services.arms.arms import Arms
from services.arms.loader import Loader
from services.arms.loading import Bundles, Registry
from services.arms.serving import HeldOut, Serving, assembled
from services.detection import configured_detector, detector_at
from services.errors import ServicesError, SettingsError, TransientError
from services.logs import get_logger
from services.loop_metrics import BundleMetrics
from services.metrics import ScorerMetrics
from services.settings import Settings

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 5.0
_GOODBYE: Final = 5.0
Answer = TypeVar("Answer")


def registry_at(url: str, settings: Settings) -> Registry:
    """Raises `ServicesError` where that cannot be one."""
    try:
        return open_registry(url, public_key=settings.registry_public_key)
    except RegistryError as error:
        raise ServicesError(f"{error} (PLUMBLINE_REGISTRY)") from error


@contextmanager
def open_arms(settings: Settings, metrics: ScorerMetrics, bundles: BundleMetrics, stop: Event) -> Iterator[Arms]:
    """What serves, kept up to date until the end of the context; without a registry it stays as it is.

    Raises `BundleError`, `ProviderError`, `ServicesError` or `TransientError`: nothing runs without a stable detector.
    """

    def on_offer(serving: Serving) -> None:
        metrics.serves(serving.detectors, settings.provider.value)

    held_out = _held_out(settings, metrics)
    if settings.registry is None:
        arms = Arms(_static(settings, metrics, held_out))
        on_offer(arms.current())
        yield arms
        return

    registry = registry_at(settings.registry, settings)
    source = Bundles(registry, settings.registry_cache, lambda folder: detector_at(folder, settings))

    def load(version: str) -> Detector:
        detector = source.load(version)
        metrics.time(detector)
        return detector

    rollout = _awaited(registry.rollout, settings, stop)
    if rollout is None:
        get_logger("scorer").warning("the registry has no rollout yet: PLUMBLINE_BUNDLE is served")
        arms = Arms(_static(settings, metrics, held_out))
    else:
        arms = Arms(_first(rollout, load, held_out, settings, stop))
    on_offer(arms.current())
    loader = Loader(
        registry.rollout,
        load,
        arms,
        held_out=held_out,
        poll=settings.registry_poll_seconds,
        metrics=bundles,
        on_offer=on_offer,
    )
    loader.look()  # a candidate is there from the first event on, if it can be
    with _running(loader):
        yield arms


def _static(settings: Settings, metrics: ScorerMetrics, held_out: HeldOut | None) -> Serving:
    detector = configured_detector(settings)
    metrics.time(detector)
    if held_out is not None and held_out.detector.version == detector.version:
        raise SettingsError("held_out_bundle is the bundle that serves: nothing would be held out")
    return Serving(detector, held_out=held_out)


def _held_out(settings: Settings, metrics: ScorerMetrics) -> HeldOut | None:
    if settings.held_out_bundle is None:
        return None
    detector = detector_at(settings.held_out_bundle, settings)
    metrics.time(detector)
    return HeldOut(detector, settings.held_out_share)


def _first(
    rollout: Rollout, load: Callable[[str], Detector], held_out: HeldOut | None, settings: Settings, stop: Event
) -> Serving:
    """Its stable version, or, where that is broken, the one before: as those go on serving that have it already."""

    def loaded(version: str) -> Detector:
        return _awaited(lambda: load(version), settings, stop)

    try:
        stable = loaded(rollout.stable)
    except (DetectorsError, ServicesError) as error:
        if rollout.previous is None or isinstance(error, TransientError):
            raise
        get_logger("scorer").error("the stable bundle cannot be loaded: the one before serves", problem=str(error))
        return Serving(loaded(rollout.previous), held_out=held_out)
    return assembled(rollout, {rollout.stable: stable}, Serving(stable), held_out)


def _awaited(ask: Callable[[], Answer], settings: Settings, stop: Event) -> Answer:
    """What the registry answers, as soon as it does. Raises `TransientError` where it goes on being away."""
    deadline = time.monotonic() + settings.retry_seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return ask()
        except UnreachableError as error:
            if stop.is_set() or time.monotonic() >= deadline:
                raise TransientError(f"the registry does not answer (PLUMBLINE_REGISTRY): {error}") from error
        except RegistryError as error:
            raise ServicesError(f"the registry has no bundle to serve (PLUMBLINE_REGISTRY): {error}") from error
        stop.wait(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


@contextmanager
def _running(loader: Loader) -> Iterator[None]:
    over = Event()
    thread = Thread(target=loader.run, args=(over,), name="loader", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_GOODBYE)  # what it is at may hang: it has nothing that must be finished
