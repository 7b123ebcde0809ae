"""Drift of what comes in and of scores, against a reference: three tests, of which two must agree."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN, KSWIN
from scipy.stats import chi2

from alerting.finding import Condition, Finding
from alerting.limits import Seats, Spaced
from alerting.population import log_odds
from alerting.tracking import Tracked
from detectors.verdict import Status, Verdict

BINS: Final = 10
_EVERY: Final = 50
"""Values between two looks: PSI over hundreds of values changes little with each."""
_KSWIN_EVERY: Final = 8
"""KSWIN sorts its window for every value it gets: by far the dearest of the three."""
_SCORE: Final = "misalignment"
_ONE_CONVERSATION: Final = timedelta(hours=6)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def psi(reference: NDArray[np.float64], recent: NDArray[np.float64]) -> float:
    """Population stability index of two histograms of counts (Siddiqi, Credit Risk Scorecards, 2006): the sum of
    (p - q) ln(p / q), with half a count added to each bin. 0 for equal shares; .1 and .25 are its usual limits.
    """
    p = (reference + 0.5) / (reference + 0.5).sum()
    q = (recent + 0.5) / (recent + 0.5).sum()
    return float(((p - q) * np.log(p / q)).sum())


def psi_noise(bins: int, reference: int, recent: int, level: float = 1e-6) -> float:
    """What PSI stays below by chance but for `level`, for so many values: without drift it is distributed like
    chi-squared with bins - 1 degrees of freedom, times (1 / reference + 1 / recent) (Yurdakul and Naranjo, 2020).
    """
    return float(chi2.isf(level, bins - 1)) * (1 / reference + 1 / recent)


@dataclass(slots=True)
class _Watched:
    """One input of one version."""

    adwin: Any
    kswin: Any
    first: list[float] = field(default_factory=list)
    edges: NDArray[np.float64] | None = None
    reference: NDArray[np.float64] | None = None
    recent: deque[float] = field(default_factory=deque)
    seen: int = 0
    adwin_at: int = -(10**9)
    kswin_at: int = -(10**9)
    value: float = 0.0
    met_at: int | None = None


@dataclass(slots=True)
class _Version:
    """All inputs of one version, and when the latest events were that they have been compared by."""

    inputs: dict[str, _Watched] = field(default_factory=dict)
    times: deque[datetime] = field(default_factory=deque)
    latest: datetime = _NEVER


class Drift:
    """A `Rule`: InputDrift and ScoreDrift for each model version.

    Of a conversation one event in six hours counts: its events are much alike. The first `reference` of those are what
    later ones are compared with, the latest `recent` of them at a time. Drift is found where PSI is over .25 and over
    its noise, and ADWIN (Bifet and Gavaldà, 2007) or KSWIN (Raab et al., 2020) has seen a change within the last
    `reference` values; it is over when PSI is small again, or after `adopt` more values, when what is recent becomes
    the reference. Nothing is said of a version after `silence`.

    At most `most` versions are watched; others wait until one has not been seen for as long.
    """

    def __init__(
        self,
        *,
        most: int = 100,
        reference: int = 1000,
        recent: int = 500,
        limit: float = 0.25,
        adopt: int = 5000,
        silence: timedelta = timedelta(hours=24),
        conversations: int = 50_000,
    ) -> None:
        self._reference = reference
        self._recent = recent
        self._limit = limit
        self._adopt = adopt
        self._silence = silence
        self._versions: Tracked[str, _Version] = Tracked(most, lambda _: _Version())
        self._seats: Seats[str] = Seats(most, silence)
        self._turned_away = Spaced(conversations, silence)
        self._without_seat = 0
        self._spaced = Spaced(conversations, _ONE_CONVERSATION)

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        if verdict.observed is None or verdict.misalignment is None or verdict.status is Status.UNSCORED:
            return
        version = verdict.observed.model.version or verdict.observed.model.name or ""
        if not self._seats.seated(version, at):
            self._without_seat += self._turned_away.admits(version, at)
            return
        state = self._versions.touch(version)
        state.latest = max(at, state.latest)
        if not self._spaced.admits((version, verdict.tenant_id, verdict.conversation_id), at):
            return
        state.times.append(at)
        if len(state.times) > self._recent:
            state.times.popleft()
        for name, value in _inputs(verdict):
            if name not in state.inputs:
                state.inputs[name] = _new()
            self._add(state.inputs[name], value)

    def _add(self, watched: _Watched, value: float) -> None:
        watched.seen += 1
        watched.adwin.update(value)
        if watched.seen % _KSWIN_EVERY == 0:
            watched.kswin.update(value)
            if watched.kswin.drift_detected:
                watched.kswin_at = watched.seen
        if watched.adwin.drift_detected:
            watched.adwin_at = watched.seen
        if watched.reference is None:
            watched.first.append(value)
            if len(watched.first) >= self._reference:
                self._adopt_as_reference(watched, watched.first)
                watched.first = []
            return
        watched.recent.append(value)
        if len(watched.recent) > self._recent:
            watched.recent.popleft()
        if watched.seen % _EVERY == 0 and len(watched.recent) == self._recent:
            self._look(watched)

    def _look(self, watched: _Watched) -> None:
        if watched.edges is None or watched.reference is None:
            return
        values = list(watched.recent)
        counts = _counts(values, watched.edges)
        watched.value = psi(watched.reference, counts)
        limit = max(self._limit, psi_noise(len(counts), int(watched.reference.sum()), self._recent))
        lately = watched.seen - max(watched.adwin_at, watched.kswin_at) <= self._reference
        if watched.met_at is None:
            watched.met_at = watched.seen if watched.value > limit and lately else None
        elif watched.value < limit / 2:
            watched.met_at = None
        elif watched.seen - watched.met_at >= self._adopt:
            self._adopt_as_reference(watched, values)
            watched.met_at = None

    def _adopt_as_reference(self, watched: _Watched, values: list[float]) -> None:
        watched.edges = _edges(values)
        watched.reference = _counts(values, watched.edges)

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        for version, state in self._versions.items():
            silent = now - state.latest > self._silence
            for name, watched in state.inputs.items():
                if len(watched.recent) >= self._recent:
                    yield self._finding(version, name, watched, state, silent=silent)

    def _finding(self, version: str, name: str, watched: _Watched, state: _Version, *, silent: bool) -> Finding:
        since, until = sorted((state.times[0], state.times[-1]))
        tests = [
            test
            for test, at in (("ADWIN", watched.adwin_at), ("KSWIN", watched.kswin_at))
            if watched.seen - at <= self._reference
        ]
        return Finding(
            "ScoreDrift" if name == _SCORE else "InputDrift",
            {"model_version": version, "input": name},
            Condition.NO_DATA if silent else Condition.CLEAR if watched.met_at is None else Condition.MET,
            value=watched.value,
            limit=self._limit,
            since=since,
            until=until,
            detail=(
                f"{name} from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}: PSI {watched.value:.2f} against "
                f"the reference, {' and '.join(tests) or 'no other test'} lately"
            ),
        )

    def statistics(self) -> Mapping[tuple[str, str], float]:
        """(input, test) → its latest statistic, the largest over model versions: PSI, and ADWIN's mean."""
        found: dict[tuple[str, str], float] = {}
        for state in self._versions.values():
            for name, watched in state.inputs.items():
                for test, value in (("psi", watched.value), ("adwin_mean", float(watched.adwin.estimation))):
                    found[name, test] = max(value, found.get((name, test), -math.inf))
        return found

    def tracked(self) -> Mapping[str, int]:
        return {"drift": len(self._versions), "drift_conversation": len(self._spaced)}

    def evicted(self) -> Mapping[str, int]:
        """Versions that gave way to others, and those that had to wait."""
        return {"drift": self._versions.evicted + self._without_seat}


def _new() -> _Watched:
    return _Watched(ADWIN(delta=1e-5), KSWIN(alpha=1e-6, window_size=160, stat_size=60, seed=7))


def _edges(values: list[float]) -> NDArray[np.float64]:
    """Inner edges of `BINS` bins that are about as full; a value that is common has a bin of its own."""
    quantiles = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
    common = quantiles[np.isin(quantiles, values)]
    return np.unique(np.concatenate([quantiles, np.nextafter(common, np.inf)]))


def _counts(values: list[float], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Histogram [edges + 1] over bins that are open at both ends."""
    return np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1).astype(np.float64)


def _inputs(verdict: Verdict) -> Iterator[tuple[str, float]]:
    observed = verdict.observed
    if observed is None or verdict.misalignment is None:
        return
    yield _SCORE, log_odds(verdict.misalignment)
    yield "characters", math.log1p(observed.characters)
    yield "messages", float(observed.messages)
    yield "tools", float(len(observed.tools))
