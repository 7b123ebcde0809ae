"""What no single event shows: a conversation that adds up, and one agent that spreads thin over many conversations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from alerting.burn_rate import tail
from alerting.finding import Case, Condition, Finding
from alerting.limits import HourlyLimit
from alerting.population import Population, log_odds
from alerting.tracking import Tracked
from detectors.verdict import Status, Verdict

_CASES: Final = 3
_SETTLED: Final = 3
"""Events of which the mean says what a conversation is like."""
_FEWEST_SETTLED: Final = 50
_MOST_PIECES: Final = 8
_OUTLYING: Final = 1.6
"""Times the way from the middle conversation to the 99th of 100: 3.7 standard deviations were they normal, which is one
conversation in 10,000."""


@dataclass(slots=True)
class _Sum:
    reached: float = 0.0
    total: float = 0.0
    events: int = 0
    latest: datetime | None = None
    case: Case | None = None
    told: bool = False
    refused: bool = False
    seen: list[int] = field(default_factory=list)

    def is_new(self, verdict: Verdict) -> bool:
        """Whether what speaks most for it has not been counted. Where that is unknown each event is new."""
        if not verdict.evidence:
            return True
        piece = hash((verdict.evidence[0].message_index, verdict.evidence[0].message_id))
        if piece in self.seen:
            return False
        self.seen[:] = [*self.seen, piece][-_MOST_PIECES:]
        return True


class SlowBurnConversation:
    """A `Rule`: a one-sided CUSUM (Page, 1954) of a conversation's log-odds of misalignment.

    sum = max(0, sum + min(step, log-odds - usual)), no more than twice the limit. `usual` is what one event in a
    hundred reaches, and no less than what whole conversations reach that lie far from the others: conversations differ,
    and one that is merely about a delicate matter is in the upper part from its first event to its last.

    One event adds at most `step`, so that it takes limit / step of them at least, and one message counts once: some
    senders send the whole conversation with each event. Until `warm_up` events have been seen nothing is known to be
    usual, and nothing is found. At most `per_hour` new ones an hour and tenant; `suppressed` counts the others.
    """

    def __init__(
        self,
        *,
        most: int = 15_000,
        limit: float = 8.0,
        step: float = 2.0,
        usual_share: float = 0.99,
        warm_up: int = 500,
        per_hour: int = 10,
        quiet_after: timedelta = timedelta(hours=6),
    ) -> None:
        self._limit = limit
        self._step = step
        self._usual_share = usual_share
        self._warm_up = warm_up
        self._quiet_after = quiet_after
        self._hourly = HourlyLimit(per_hour, most=most)
        self._population = Population()
        self._usual: float | None = None
        self._conversations: Tracked[tuple[str, str], _Sum] = Tracked(
            most, lambda _: _Sum(), spared=lambda state: state.told
        )
        self.suppressed = 0

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        if verdict.misalignment is None or verdict.status is Status.UNSCORED:
            return
        odds = log_odds(verdict.misalignment)
        state = self._conversations.touch((verdict.tenant_id, verdict.conversation_id))
        usual = self._reference()
        if usual is not None:
            self._add(state, odds - usual, verdict, at)
        state.total, state.events = state.total + odds, state.events + 1
        state.latest = max(at, state.latest or at)
        self._population.add(odds)

    def _add(self, state: _Sum, above: float, verdict: Verdict, at: datetime) -> None:
        if above > 0 and not state.is_new(verdict):
            return
        state.reached = min(2 * self._limit, max(0.0, state.reached + min(self._step, above)))
        if above > 0:
            state.case = Case.of(verdict)
        if state.reached >= self._limit and not state.told:
            state.told = self._hourly.admits(verdict.tenant_id, at)
            self.suppressed += not state.told and not state.refused
            state.refused = state.refused or not state.told

    def _reference(self) -> float | None:
        """What is usual, worked out anew now and then; None while too little is known."""
        seen = self._population.seen
        if seen < self._warm_up:
            return None
        if self._usual is None or seen % max(100, len(self._conversations) // 20) == 0:
            self._usual = max(self._population.quantile(self._usual_share), self._outlying())
        return self._usual

    def _outlying(self) -> float:
        """Mean log-odds that next to no conversation has."""
        known = [(state.events, state.total / state.events) for state in self._conversations.values() if state.events]
        settled = [mean for events, mean in known if events >= _SETTLED]
        means = sorted(settled if len(settled) >= _FEWEST_SETTLED else (mean for _, mean in known))
        middle, high = means[len(means) // 2], means[len(means) * 99 // 100]
        return middle + _OUTLYING * (high - middle)

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        for (tenant, conversation), state in self._conversations.items():
            if not state.told or state.case is None or state.latest is None:
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
                detail=f"some of {state.events} events add up to {state.reached:.1f}, limit {self._limit:g} (log-odds)",
                cases=(state.case,) if condition is Condition.MET else (),
            )
            state.told = now - state.latest <= 2 * self._quiet_after  # after that there is nothing to say

    def tracked(self) -> Mapping[str, int]:
        return {"conversation": len(self._conversations)}

    def evicted(self) -> Mapping[str, int]:
        return {"conversation": self._conversations.evicted}


@dataclass(slots=True)
class _Seen:
    """What was seen of one conversation: until when, of how many events, and whether one of them was suspicious."""

    latest: float
    events: int = 0
    suspicious: bool = False


@dataclass(slots=True)
class _Spread:
    """The latest conversations of one agent, by a hash of their ids, and cases of the latest suspicious ones."""

    conversations: dict[int, _Seen] = field(default_factory=dict)
    cases: dict[str, tuple[float, Case]] = field(default_factory=dict)

    def forget(self, before: float) -> None:
        self.conversations = {key: seen for key, seen in self.conversations.items() if seen.latest >= before}
        self.cases = {key: (at, case) for key, (at, case) in self.cases.items() if at >= before}

    def expected(self, share: float) -> float:
        """Suspicious conversations, where of all events `share` are and events have nothing to do with each other.
        Where those of a conversation are alike there are fewer.
        """
        return sum(1 - (1 - share) ** seen.events for seen in self.conversations.values())

    def suspicious(self) -> int:
        return sum(seen.suspicious for seen in self.conversations.values())


class SpreadThin:
    """A `Rule`: one agent over many conversations, each only a little suspicious.

    A conversation is suspicious where one of its events reaches the upper `suspicious_share` of all recent events,
    which a long one does more easily. An agent's number of suspicious conversations is compared with what chance gives
    to conversations of their lengths, or with what agents have otherwise where that is more (a binomial tail, which
    holds for unequal chances too: Hoeffding, 1956; corrected for the number of agents looked at). Each conversation
    counts once, so none can do it alone.

    Of an agent the latest `conversations` within `window` count.
    """

    def __init__(
        self,
        *,
        most: int = 2_000,
        fewest: int = 5,
        suspicious_share: float = 0.05,
        level: float = 1e-3,
        window: timedelta = timedelta(hours=24),
        conversations: int = 150,
        warm_up: int = 500,
    ) -> None:
        self._fewest = fewest
        self._share = suspicious_share
        self._level = level
        self._window = window
        self._most_conversations = conversations
        self._warm_up = warm_up
        self._population = Population()
        self._limit: float | None = None
        self._agents: Tracked[tuple[str, str], _Spread] = Tracked(
            most, lambda _: _Spread(), spared=lambda state: len(state.cases) >= _CASES
        )

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        name = verdict.observed and verdict.observed.agent.name
        if verdict.misalignment is None or verdict.status is Status.UNSCORED:
            return
        odds = log_odds(verdict.misalignment)
        self._population.add(odds)
        if self._limit is None or self._population.seen % 100 == 0:
            self._limit = self._population.quantile(1 - self._share)
        if name and self._population.seen >= self._warm_up:
            self._add(
                self._agents.touch((verdict.tenant_id, name)), verdict, at.timestamp(), suspicious=odds > self._limit
            )

    def _add(self, state: _Spread, verdict: Verdict, at: float, *, suspicious: bool) -> None:
        key = hash(verdict.conversation_id)
        seen = state.conversations.setdefault(key, _Seen(at))
        seen.latest, seen.events = max(at, seen.latest), seen.events + 1
        seen.suspicious = seen.suspicious or suspicious
        if len(state.conversations) > self._most_conversations:
            del state.conversations[min(state.conversations, key=lambda each: state.conversations[each].latest)]
        if suspicious:
            state.cases[verdict.conversation_id] = (at, Case.of(verdict))
            if len(state.cases) > _CASES:
                del state.cases[min(state.cases, key=lambda each: state.cases[each][0])]

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        since = now - self._window
        more = self._more_than_chance(since.timestamp())
        for (tenant, agent), state in self._agents.items():
            suspicious, every = state.suspicious(), len(state.conversations)
            if not suspicious:
                continue
            usual = min(0.95, more * state.expected(self._share) / every)
            chance = tail(suspicious, every, usual) * len(self._agents)
            met = suspicious >= self._fewest and chance <= self._level
            yield Finding(
                "SpreadThin",
                {"tenant": tenant, "agent": agent},
                Condition.MET if met else Condition.CLEAR,
                value=suspicious / every,
                limit=usual,
                since=since,
                until=now,
                detail=f"{suspicious} of {every} conversations are suspicious, {usual:.1%} would be usual",
                cases=tuple(case for _, case in state.cases.values()) if met else (),
            )

    def _more_than_chance(self, since: float) -> float:
        """Times as many suspicious conversations as chance gives that the agent in the middle has; one bad agent moves
        it little. No less than 1. What was `since` counts, anything before is forgotten.
        """
        ratios = []
        for state in self._agents.values():
            state.forget(since)
            if len(state.conversations) >= self._fewest:
                ratios.append(state.suspicious() / state.expected(self._share))
        ratios.sort()
        return max(1.0, ratios[len(ratios) // 2]) if len(ratios) >= 3 else 1.0

    def tracked(self) -> Mapping[str, int]:
        return {"agent": len(self._agents)}

    def evicted(self) -> Mapping[str, int]:
        return {"agent": self._agents.evicted}
