"""Simulated traffic in which nothing is wrong, as unlike independent draws as real traffic is.

A conversation belongs to one agent of one tenant. It has 1 to 40 events over minutes or hours, and a level of its own
in everything: what one event scores, the next one scores about as well, and 1 % of events are flagged, mostly in the
same few conversations. Agents differ a little, nights are quiet and score a little lower, prompts recur, a new version
is rolled out that is like the old ones. One tenant has a single agent; another sends whole conversations, so that one
high score comes back with every event after it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from detectors.observation import Observation, Reward, signature, sketch
from detectors.transcript import Agent, Model
from detectors.verdict import Evidence, Status, Verdict, verdict_id

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
WORDS: Final = [f"word{number}" for number in range(400)]
TOOLS: Final = ("mail", "shell", "search", "pay")
USUAL, BETWEEN_AGENTS, BETWEEN, WITHIN = -3.0, 0.2, 1.0, 0.5  # log-odds, and their standard deviations
FLAGGED_ABOVE: Final = USUAL + 2.33 * math.sqrt(BETWEEN_AGENTS**2 + BETWEEN**2 + WITHIN**2)
ROLLED_OUT: Final = timedelta(hours=30)


@dataclass
class Conversation:
    """Where a conversation stands; `rng` draws what its events are like."""

    number: int
    tenant: str
    agent: str
    version: str
    left: int
    asked: list[str]
    rng: random.Random
    agent_level: float
    whole: bool
    sent: int = 0
    highest: float = -99.0
    highest_at: int = 0
    words: list[str] = field(default_factory=list)

    @cached_property
    def level(self) -> float:
        return self.rng.gauss(USUAL + self.agent_level, BETWEEN)

    @cached_property
    def goal(self) -> float:
        return self.rng.betavariate(1, 15)

    @cached_property
    def astray(self) -> float:
        return self.rng.uniform(0, 0.6)

    @cached_property
    def reward(self) -> float:
        return self.rng.gauss(0.5, 0.2)

    @cached_property
    def length(self) -> float:
        return self.rng.gauss(7, 0.5)

    @cached_property
    def tools(self) -> tuple[str, ...]:
        return tuple(self.rng.sample(TOOLS, self.rng.randrange(3)))

    def event(self, at: datetime) -> Verdict:
        """The next verdict."""
        rng, number = self.rng, self.sent
        self.sent += 1
        self.left -= 1
        if not number:
            self.words = self.asked
        odds = rng.gauss(self.level, WITHIN) - 0.2 * (not 8 <= at.hour < 18)
        if odds > self.highest or not self.whole:
            self.highest, self.highest_at = odds, number
        flagged = self.highest > FLAGGED_ABOVE
        prompt = signature(self.words if not number else rng.choices(WORDS, k=18)) if number % 2 == 0 else None
        did = [rng.choice(WORDS if rng.random() < self.astray else self.words) for _ in range(10)]
        event, conversation = f"e{number}", f"c{self.number}"
        return Verdict(
            verdict_id=verdict_id(self.tenant, conversation, event, "b"),
            event_id=event,
            tenant_id=self.tenant,
            conversation_id=conversation,
            status=Status.SCORED,
            misalignment=1 / (1 + math.exp(-self.highest)),
            scores={"goal_drift": min(1.0, max(0.0, rng.gauss(self.goal, 0.02)))},
            flagged=("deception", "misalignment") if flagged else (),
            evidence=(
                Evidence(
                    message_id=f"m{self.highest_at}",
                    message_index=self.highest_at,
                    part_index=0,
                    start=0,
                    end=9,
                    category="deception" if flagged else "misalignment",
                    weight=1.0,
                ),
            ),
            bundle_version="b",
            observed=Observation(
                agent=Agent(name=self.agent),
                model=Model(version=self.version),
                tools=self.tools,
                prompt=prompt,
                task=sketch(self.words) if not number or self.whole else None,
                actions=sketch(did),
                rewards=(Reward(value=rng.gauss(self.reward, 0.1)),),
                messages=2 * number + 2 if self.whole else 2,
                characters=int(math.exp(rng.gauss(self.length, 0.4)) * (number + 1 if self.whole else 1)),
            ),
            occurred_at=at,
            decided_at=at,
        )


def traffic(seed: int, *, days: float, per_minute: float, agents: int = 40) -> Iterator[Verdict]:
    """Verdicts in the order of time, about so many a minute. With one agent it is all the traffic there is."""
    rng = random.Random(seed)
    asked = [rng.sample(WORDS, 18) for _ in range(20)]
    names = [(f"tenant-{number % 4}", f"agent-{number}") for number in range(agents - 1)] + [("tenant-4", "alone")]
    levels = {name: rng.gauss(0, BETWEEN_AGENTS) for name in names}
    at, number = START, 0
    under_way: list[tuple[datetime, int, Conversation]] = []
    while at < START + timedelta(days=days):
        cycle = 1 + 0.8 * (1 if 8 <= at.hour < 18 else -1)
        begins = at + timedelta(minutes=rng.expovariate(per_minute * cycle / 20.5))
        while under_way and under_way[0][0] <= begins:
            when, _, conversation = heapq.heappop(under_way)
            yield conversation.event(when)
            if conversation.left:
                pause = timedelta(minutes=rng.expovariate(1 / rng.choice((1, 1, 1, 20))))
                heapq.heappush(under_way, (when + pause, conversation.number, conversation))
        at, number = begins, number + 1
        name = rng.choice(names)
        new = at - START > ROLLED_OUT and rng.random() < 0.5
        version = "v3" if new else f"v{names.index(name) % 3}"
        words = list(rng.choice(asked)) if rng.random() < 0.3 else rng.choices(WORDS, k=18)
        words[rng.randrange(18)] = rng.choice(WORDS)
        conversation = Conversation(
            number,
            *name,
            version=version,
            left=rng.randint(1, 40),
            asked=words,
            rng=random.Random(rng.getrandbits(64)),
            agent_level=levels[name],
            whole=name[0] == "tenant-1",
        )
        heapq.heappush(under_way, (at, number, conversation))
