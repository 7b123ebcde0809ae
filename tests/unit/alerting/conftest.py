"""Builders shared by the tests of `alerting`."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from alerting.catalogue import CATALOGUE
from alerting.finding import Condition, Finding, Rule
from detectors.observation import Observation, Reward, signature, sketch
from detectors.transcript import Agent, Model
from detectors.verdict import Evidence, Status, Verdict, verdict_id

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def start() -> datetime:
    return START


@pytest.fixture
def clean(make_verdict: Callable[..., Verdict]) -> Callable[..., list[Verdict]]:
    """Clean traffic in conversations that differ: log-odds around -3, with a part of their own for each conversation.

    Each belongs to one agent and goes on for up to an hour; in the order of time.
    """

    def make(
        seed: int,
        *,
        conversations: int = 400,
        events: tuple[int, int] = (1, 40),
        agents: int = 20,
        between: float = 1.0,
        within: float = 0.5,
        minutes: float = 600,
        rounded: int | None = None,
        **more: Any,
    ) -> list[Verdict]:
        rng, made = random.Random(seed), []
        for number in range(conversations):
            agent, level, began = f"agent-{number % agents}", rng.gauss(-3, between), rng.uniform(0, minutes - 60)
            for _ in range(rng.randint(*events)):
                odds = rng.gauss(level, within)
                odds = odds if rounded is None else round(odds / rounded) * rounded
                made.append(
                    make_verdict(
                        began + rng.uniform(0, 60),
                        conversation=f"clean-{seed}-{number}",
                        agent=agent,
                        misalignment=1 / (1 + math.exp(-odds)),
                        **more,
                    )
                )
        return sorted(made, key=lambda verdict: verdict.occurred_at)

    return make


@pytest.fixture
def shown() -> Callable[[Rule, Iterable[Verdict]], None]:
    """Shows a rule verdicts, each when it happened."""

    def show(rule: Rule, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            rule.observe(verdict, verdict.occurred_at)

    return show


@pytest.fixture
def met() -> Callable[[Rule, datetime], dict[str, Finding]]:
    """Findings whose condition holds, by alert; each is in the catalogue."""

    def find(rule: Rule, now: datetime) -> dict[str, Finding]:
        found = list(rule.findings(now))
        assert all(CATALOGUE[each.alert].source == "correlator" for each in found)
        return {each.alert: each for each in found if each.condition is Condition.MET}

    return find


@pytest.fixture
def make_verdict() -> Callable[..., Verdict]:
    """Verdicts with an event id of their own; times are minutes after the start. `evidence` is a message id."""
    numbers = count()

    def make(
        minute: float = 0.0,
        *,
        conversation: str | None = None,
        event: str | None = None,
        tenant: str = "acme",
        agent: str | None = "clerk",
        version: str | None = "v1",
        tools: tuple[str, ...] = (),
        misalignment: float | None = 0.02,
        flagged: tuple[str, ...] = (),
        scores: dict[str, float] | None = None,
        prompt: str | None = None,
        task: str | None = None,
        actions: str | None = None,
        reward: float | None = None,
        status: Status = Status.SCORED,
        evidence: str | None = None,
        decided: float | None = None,
        **observed: Any,
    ) -> Verdict:
        event = event or f"e{next(numbers)}"
        conversation = conversation or f"c-{event}"
        at = START + timedelta(minutes=minute)
        return Verdict(
            verdict_id=verdict_id(tenant, conversation, event, "b-1"),
            event_id=event,
            tenant_id=tenant,
            conversation_id=conversation,
            status=status,
            misalignment=misalignment,
            flagged=flagged,
            scores=scores or {},
            bundle_version="b-1",
            occurred_at=at,
            evidence=() if evidence is None else (_evidence(evidence, flagged),),
            decided_at=at if decided is None else START + timedelta(minutes=decided),
            observed=Observation(
                agent=Agent(name=agent),
                model=Model(version=version),
                tools=tools,
                prompt=signature(prompt.split()) if prompt else None,
                task=sketch(task.split()) if task else None,
                actions=sketch(actions.split()) if actions else None,
                rewards=() if reward is None else (Reward(value=reward),),
                **observed,
            ),
        )

    return make


def _evidence(message: str, flagged: tuple[str, ...]) -> Evidence:
    return Evidence(
        message_id=message,
        message_index=0,
        part_index=0,
        start=0,
        end=5,
        category=flagged[0] if flagged else "misalignment",
        weight=1.0,
    )
