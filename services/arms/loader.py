"""Follows the rollout: what it asks for is loaded while what is there serves, and then takes its place."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import Final

from deploy.rollout.state import Rollout
from detectors.detector import Detector
from services.arms.arms import Arms
from services.arms.failures import reason_of, told
from services.arms.judging import Timer
from services.arms.patience import Patience
from services.arms.serving import HeldOut, Serving, assembled
from services.arms.work import is_a_failure
from services.logs import get_logger
from services.loop_metrics import BundleMetrics

_LONGEST_PAUSE: Final = 300.0
_LONGEST_SILENCE: Final = 30.0
"""Seconds between looks while the registry does not answer: a rollback shall not wait when it does again."""
_UNHEARD_OF: Final = 60.0
"""Seconds without a look that succeeded, after which nobody knows whether what is served is what is asked for."""

_ROLLOUT: Final = "rollout"


class Loader:
    """Everything here happens in one thread, and batches are judged in another."""

    def __init__(
        self,
        asked: Callable[[], Rollout | None],
        load: Callable[[str], Detector],
        arms: Arms,
        *,
        held_out: HeldOut | None = None,
        poll: float,
        metrics: BundleMetrics,
        on_offer: Callable[[Serving], None] = lambda _: None,
        timer: Timer = time.monotonic,
    ) -> None:
        """`asked` reads the rollout, `load` makes a warm detector of a version; whatever they raise is tried again.

        `poll`: seconds between looks. `on_offer` is told what serves from then on.
        """
        self._asked = asked
        self._load = load
        self._arms = arms
        self._held_out = held_out
        self._poll = poll
        self._metrics = metrics
        self._on_offer = on_offer
        self._timer = timer
        self._bundles = Patience(poll, max(poll, _LONGEST_PAUSE))
        self._registry = Patience(poll, max(poll, _LONGEST_SILENCE))
        self._loaded = {each.version: each for each in arms.current().detectors.values()}
        self._newest: Rollout | None = arms.current().rollout
        self._heard_at = self._newest_since = timer()
        self._log = get_logger("scorer")
        metrics.behind.set_function(self._behind)
        if self._newest is not None:
            metrics.revision.set(self._newest.revision)

    def run(self, stop: Event) -> None:
        """Looks again and again until `stop`."""
        while not stop.wait(self._poll):
            self.look()

    def look(self) -> None:
        """Offers what the rollout asks for: at once what is loaded, and the rest when it is, too. Raises nothing."""
        rollout = self._read()
        if rollout is None:
            return
        if rollout != self._newest:
            self._newest, self._newest_since = rollout, self._heard_at
        if not self._arms.current().is_all_of(rollout):
            self._offer(rollout)
            self._fetch(rollout)
            self._offer(rollout)

    def _read(self) -> Rollout | None:
        if not self._registry.is_due(_ROLLOUT, self._timer()):
            return None
        try:
            rollout = self._asked()
        except Exception as error:
            self._registry.failed(_ROLLOUT, self._timer())
            self._failed("the rollout cannot be read: what serves goes on serving", error)
            return None
        self._registry.remember_only(())
        self._heard_at = self._timer()
        return rollout

    def _fetch(self, rollout: Rollout) -> None:
        wanted = [version for version in (rollout.stable, rollout.candidate) if version is not None]
        self._bundles.remember_only(wanted)
        for version in wanted:
            if version not in self._loaded and self._bundles.is_due(version, self._timer()):
                try:
                    self._loaded[version] = self._load(version)
                except BaseException as error:
                    if not is_a_failure(error):
                        raise
                    self._bundles.failed(version, self._timer())
                    self._failed("a bundle cannot be loaded: what serves goes on serving", error, bundle=version)

    def _offer(self, rollout: Rollout) -> None:
        before = self._arms.current()
        after = assembled(rollout, self._loaded, before, self._held_out)
        if after == before:
            return
        self._arms.offer(after)
        self._on_offer(after)
        self._loaded = {**self._wanted(rollout), **{each.version: each for each in after.detectors.values()}}
        for arm, detector in after.detectors.items():
            if before.detectors.get(arm) is not detector:
                self._metrics.swaps.labels(arm.value).inc()
        if after.is_all_of(rollout):
            self._metrics.revision.set(rollout.revision)
            self._metrics.swap_seconds.observe(self._timer() - self._newest_since)
        served = {arm.value: detector.version for arm, detector in after.detectors.items()}
        self._log.info("serving", revision=rollout.revision, **served)

    def _wanted(self, rollout: Rollout) -> dict[str, Detector]:
        return {name: each for name, each in self._loaded.items() if name in (rollout.stable, rollout.candidate)}

    def _failed(self, what: str, error: BaseException, **facts: str) -> None:
        reason = reason_of(error)
        self._metrics.failures.labels(reason).inc()
        self._log.error(what, reason=reason, problem=told(error), **facts)

    def _behind(self) -> float:
        """Asked from `/metrics`: it holds where this thread hangs or is dead, too."""
        unheard_of = self._timer() - self._heard_at > max(_UNHEARD_OF, 3 * self._poll)
        lacking = self._newest is not None and not self._arms.current().is_all_of(self._newest)
        return float(unheard_of or lacking)
