"""Builders shared by the tests of `alerting`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from detectors.observation import Observation, Reward, signature, sketch
from detectors.transcript import Agent, Model
from detectors.verdict import Status, Verdict, verdict_id

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def start() -> datetime:
    return START


@pytest.fixture
def make_verdict() -> Callable[..., Verdict]:
    """Verdicts with an event id of their own; times are minutes after the start."""
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
            decided_at=at,
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
