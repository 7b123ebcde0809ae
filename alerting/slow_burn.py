"""What no single event shows: a conversation that adds up, and one agent that spreads thin over many conversations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from alerting.burn_rate import tail
from alerting.finding import Case, Condition, Finding
from alerting.tracking import Tracked
from detectors.verdict import Status, Verdict

_BINS: Final = 200
_CASES: Final = 3
_MOST_ODDS: Final = 6.0


def log_odds(probability: float) -> float:
    """Bounded to what 0.25 % and 99.75 % are."""
    clipped = min(max(probability, 1e-9), 1 - 1e-9)
    return max(-_MOST_ODDS, min(_MOST_ODDS, math.log(clipped / (1 - clipped))))


class Population:
    """Log-odds of recent events, as a histogram that forgets: each event weighs half after `half_life` more."""

    def __init__(self, *, half_life: int = 20_000) -> None:
        self._growth = 2 ** (1 / half_life)
        self._counts = [0.0] * _BINS
        self._next = 1.0
        self.seen = 0

    def add(self, odds: float) -> None:
        self._counts[self._bin(odds)] += self._next
        self._next *= self._growth
        self.seen += 1
        if self._next > 1e12:
            self._counts = [count / self._next for count in self._counts]
            self._next = 1.0

    def quantile(self, share: float) -> float:
        """The upper edge of the bin below which `share` of the events lie."""
        wanted, so_far = share * sum(self._counts), 0.0
        for number, count in enumerate(self._counts):
            so_far += count
            if so_far >= wanted:
                return (number + 1) / _BINS * 2 * _MOST_ODDS - _MOST_ODDS
        return _MOST_ODDS

    def above(self, limit: float) -> float:
        """The share of events in bins that lie above `limit` entirely."""
        total = sum(self._counts)
        first = math.ceil((limit + _MOST_ODDS) / (2 * _MOST_ODDS) * _BINS - 1e-9)
        return sum(self._counts[first:]) / total if total else 0.0

    @staticmethod
    def _bin(odds: float) -> int:
        return min(_BINS - 1, max(0, int((odds + _MOST_ODDS) / (2 * _MOST_ODDS) * _BINS)))


@dataclass(slots=True)
class _Sum:
    reached: float = 0.0
    events: int = 0
    latest: datetime | None = None
    case: Case | None = None
    seen: set[str] = field(default_factory=set)


class SlowBurnConversation:
    """A `Rule`: a one-sided CUSUM (Page, 1954) of a conversation's log-odds of misalignment.

    sum = max(0, sum + min(step, log-odds − usual)), where `usual` is the quantile `usual_share` of all recent events.
    One event adds at most `step`, so that it takes limit / step of them at least. Until `warm_up` events have been seen
    nothing is known to be usual, and nothing is found.
    """

    def __init__(
        self,
        *,
        most: int = 20_000,
        limit: float = 8.0,
        step: float = 2.0,
        usual_share: float = 0.9,
        warm_up: int = 500,
        quiet_after: timedelta = timedelta(hours=6),
    ) -> None:
        self._limit = limit
        self._step = step
        self._usual_share = usual_share
        self._warm_up = warm_up
        self._quiet_after = quiet_after
        self._population = Population()
        self._usual = _MOST_ODDS
        self._conversations: Tracked[tuple[str, str], _Sum] = Tracked(most, lambda _: _Sum())

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        if verdict.misalignment is None or verdict.status is Status.UNSCORED:
            return
        odds = log_odds(verdict.misalignment)
        state = self._conversations.touch((verdict.tenant_id, verdict.conversation_id))
        if self._population.seen >= self._warm_up:
            if self._population.seen % 100 == 0 or self._usual == _MOST_ODDS:
                self._usual = self._population.quantile(self._usual_share)
            more = min(self._step, odds - self._usual)
            state.reached = max(0.0, state.reached + more)
            state.events = state.events + 1 if state.reached else 0
            if more > 0:
                state.case = Case.of(verdict)
        state.latest = max(at, state.latest or at)
        self._population.add(odds)

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        for (tenant, conversation), state in self._conversations.items():
            if state.case is None or state.latest is None:
                continue
            quiet = now - state.latest > self._quiet_after
            condition = Condition.MET if state.reached >= self._limit and not quiet else Condition.CLEAR
            yield Finding(
                "SlowBurnConversation",
                {"tenant": tenant, "conversation": conversation},
                condition,
                value=state.reached,
                limit=self._limit,
                since=min(now, state.latest),
                until=now,
                detail=f"{state.events} events add up to {state.reached:.1f}, limit {self._limit:g} (log-odds)",
                cases=(state.case,) if condition is Condition.MET else (),
            )

    def tracked(self) -> Mapping[str, int]:
        return {"conversation": len(self._conversations)}

    def evicted(self) -> Mapping[str, int]:
        return {"conversation": self._conversations.evicted}


@dataclass(slots=True)
class _Spread:
    """Conversations of one agent in the window under way and the one before: whether each was suspicious."""

    began: datetime | None = None
    now: dict[str, bool] = field(default_factory=dict)
    before: dict[str, bool] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    latest: datetime | None = None


class SpreadThin:
    """A `Rule`: one agent over many conversations, each only a little suspicious.

    A conversation is suspicious where one of its events reaches the upper `suspicious_share` of all recent events. An
    agent's number of suspicious conversations is compared with what chance gives (a binomial tail, corrected for the
    number of agents looked at). Each conversation counts once, so none can do it alone.

    At most `conversations` are remembered for an agent and window; of more, the first ones.
    """

    def __init__(
        self,
        *,
        most: int = 5_000,
        fewest: int = 5,
        suspicious_share: float = 0.05,
        level: float = 1e-3,
        window: timedelta = timedelta(hours=12),
        conversations: int = 500,
        warm_up: int = 500,
    ) -> None:
        self._fewest = fewest
        self._share = suspicious_share
        self._level = level
        self._window = window
        self._most_conversations = conversations
        self._warm_up = warm_up
        self._population = Population()
        self._limit = _MOST_ODDS
        self._events_per_conversation = 1.0
        self._agents: Tracked[tuple[str, str], _Spread] = Tracked(most, lambda _: _Spread())

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        name = verdict.observed and verdict.observed.agent.name
        if verdict.misalignment is None or verdict.status is Status.UNSCORED:
            return
        odds = log_odds(verdict.misalignment)
        self._population.add(odds)
        if self._population.seen % 100 == 0:
            self._limit = self._population.quantile(1 - self._share)
        if not name or self._population.seen < self._warm_up:
            return
        state = self._agents.touch((verdict.tenant_id, name))
        _turn(state, at, self._window)
        state.latest = max(at, state.latest or at)
        suspicious = odds > self._limit
        if verdict.conversation_id in state.now or len(state.now) < self._most_conversations:
            state.now[verdict.conversation_id] = state.now.get(verdict.conversation_id, False) or suspicious
            if suspicious and len(state.cases) < _CASES:
                state.cases.setdefault(verdict.conversation_id, Case.of(verdict))

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        usual = self._usual_share()
        for (tenant, agent), state in self._agents.items():
            _turn(state, now, self._window)
            every = state.before | {key: seen or state.before.get(key, False) for key, seen in state.now.items()}
            suspicious = sum(every.values())
            if not every or (not suspicious and not state.cases):
                continue
            chance = tail(suspicious, len(every), usual) * max(1, len(self._agents))
            met = suspicious >= self._fewest and chance <= self._level
            yield Finding(
                "SpreadThin",
                {"tenant": tenant, "agent": agent},
                Condition.MET if met else Condition.CLEAR,
                value=suspicious / len(every),
                limit=usual,
                since=(state.began or now) - self._window,
                until=now,
                detail=f"{suspicious} of {len(every)} conversations are suspicious, {usual:.1%} would be usual",
                cases=tuple(state.cases.values()) if met else (),
            )

    def _usual_share(self) -> float:
        """Of suspicious conversations among all agents' ones, by the agent in the middle: one bad agent moves it
        little. No less than what the definition gives to conversations of one event.
        """
        shares = sorted(
            sum(state.now.values()) / len(state.now)
            for _, state in self._agents.items()
            if len(state.now) >= self._fewest
        )
        middle = shares[len(shares) // 2] if len(shares) >= 3 else 0.0
        return min(0.9, max(self._share, middle))

    def tracked(self) -> Mapping[str, int]:
        return {"agent": len(self._agents)}

    def evicted(self) -> Mapping[str, int]:
        return {"agent": self._agents.evicted}


def _turn(state: _Spread, at: datetime, window: timedelta) -> None:
    """Begins a new window where the one under way is over."""
    if state.began is None:
        state.began = at
    elif at - state.began >= 2 * window:
        state.began, state.now, state.before, state.cases = at, {}, {}, {}
    elif at - state.began >= window:
        state.began, state.now, state.before, state.cases = state.began + window, {}, state.now, {}
