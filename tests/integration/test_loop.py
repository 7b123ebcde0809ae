"""The whole loop, on real Kafka and PostgreSQL, with the services as they run in production.

Nothing is done by hand but what people do, which is to decide about cases. The first champion's encoder is a small one
with random weights, for speed; with LOOP_BUNDLE=detectors/bundles/first it is the one that ships (about 15 minutes).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pydantic import SecretStr

from deploy.child import free_port
from deploy.kafka.local import LocalKafka
from deploy.registry import Registry, open_registry
from deploy.rollout.state import Rollout, RolloutStage, Step
from detectors.codec import encode_event, event_from_line
from detectors.detector import Detector
from detectors.loading import open_detector
from detectors.transcript import TranscriptEvent
from detectors.verdict import Arm, Verdict
from services.accounts.accounts import Accounts
from services.accounts.principal import Role
from services.kafka import KafkaSink, create_topics
from services.records import Outgoing
from services.retraining.run import Outcome, Run
from services.settings import Settings
from services.store import Database, audit, loop, open_engine, verdicts
from services.store.verdicts import VerdictFilter
from tests import loop_data
from tests.processes import Service
from tests.servers import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.retrain, pytest.mark.timeout(4 * 900)]

TENANT: Final = "acme"
PATIENCE: Final = 300.0 if "LOOP_BUNDLE" not in os.environ else 1200.0
Rows = Iterable[dict[str, Any]]


@dataclass(frozen=True)
class Deployment:
    """What is outside of the services: agents that send, people who decide, and somebody who looks on."""

    settings: Settings
    database: Database
    registry: Registry
    sink: KafkaSink
    api: httpx.Client
    champion: Detector

    def send(self, rows: Rows) -> list[str]:
        """Agents at work; the ids of their conversations."""
        events = [self._event(row) for row in rows]
        topic = self.settings.topic("transcripts")
        self.sink.deliver([Outgoing(topic, f"{TENANT}/{e.conversation_id}".encode(), encode_event(e)) for e in events])
        return [event.conversation_id for event in events]

    def _event(self, row: dict[str, Any]) -> TranscriptEvent:
        agent = {"name": "keeper", "version": "3"}
        return event_from_line({**row, "tenant_id": TENANT, "agent": agent}, now=datetime.now(UTC))

    def verdicts(self, conversation_id: str) -> list[Verdict]:
        with self.database.read() as tx:
            return verdicts.page(tx, VerdictFilter(tenant_id=TENANT, conversation_id=conversation_id), limit=10)

    def decided(self, conversations: Iterable[str]) -> list[Verdict]:
        """The verdicts that count for these, once all are there."""
        found: dict[str, Verdict] = {}
        wanted = set(conversations)

        def all_there() -> bool:
            for each in wanted - found.keys():
                counts = [verdict for verdict in self.verdicts(each) if verdict.arm.decides]
                found.update(zip([each], counts, strict=False))
            return found.keys() == wanted

        until(all_there, "verdicts")
        return list(found.values())

    def people_say(self, disposition: str, conversations: Iterable[str], category: str | None = None) -> None:
        """People open the cases of these, read, and decide."""
        with ThreadPoolExecutor(4) as people:
            list(people.map(lambda each: self._decide(each, disposition, category), conversations))

    def _decide(self, conversation_id: str, disposition: str, category: str | None) -> None:
        case = self.api.get(f"/conversations/{TENANT}/{conversation_id}/case")
        assert case.status_code == 200, case.text
        decision = {"disposition": disposition, "conversation_id": conversation_id, "category": category}
        body = {"version": case.json()["version"], "decision": decision}
        answer = self.api.post(f"/cases/{case.json()['case_id']}/decide", json=body)
        assert answer.status_code == 200, answer.text

    def run(self, number: int) -> Run:
        """A run, once it has come to its end."""
        found: list[Run] = []

        def ended() -> bool:
            with self.database.read() as tx:
                found[:] = [run for run in loop.latest(tx, limit=20) if run.number == number and run.outcome]
            return bool(found)

        until(ended, f"the end of run {number}")
        return found[0]

    def rollout(self) -> Rollout:
        found = self.registry.rollout()
        assert found is not None
        return found

    def ordinary(self, number: int) -> list[dict[str, Any]]:
        """Work that nobody would flag, and the first champion does not: a handful of flags by mistake, in so little
        traffic, would be all that there is to compare. Day after day it is much the same work.
        """
        return [{**row, "id": f"{row['id']}-{number}"} for row in self._unflagged]

    @cached_property
    def _unflagged(self) -> list[dict[str, Any]]:
        rows = list(loop_data.recorder_running(40, seed=1000))
        prepared = [self.champion.prepare(self._event(row)) for row in rows]
        judged = self.champion.judge(prepared, now=datetime.now(UTC)).verdicts
        return [row for row, verdict in zip(rows, judged, strict=True) if not verdict.flagged]

    def traffic_until(self, reached: Callable[[Rollout], bool], kinds: Callable[[int], Rows]) -> Rollout:
        """Agents go on working, `kinds` of what number after number, until the rollout is somewhere."""
        deadline, number = time.monotonic() + PATIENCE, 0
        while not reached(rollout := self.rollout()):
            assert time.monotonic() < deadline, rollout
            self.decided(self.send(kinds(number)))
            number += 1
        return rollout

    def wait_for_version(self, version: str) -> None:
        """Until every scorer serves it."""

        def served() -> bool:
            look = loop_data.recorder_running(1, seed=time.monotonic_ns())
            return self.decided(self.send(look))[0].bundle_version == version

        until(served, version)

    def actions(self) -> list[str]:
        """What the audit log tells, in order."""
        with self.database.read() as tx:
            assert audit.verify(tx).broken_at is None
            return [entry.action for entry in audit.entries(tx, limit=10_000)]


def until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.3)


VARIABLES: Final[Mapping[str, str]] = {
    "PLUMBLINE_AUDIT_SAMPLE_SHARE": "1",  # people see what was not flagged: that is how a miss is found
    "PLUMBLINE_SECOND_REVIEW_SHARE": "0",
    "PLUMBLINE_UNDO_SECONDS": "0",
    "PLUMBLINE_REGISTRY_POLL_SECONDS": "0.2",
    "PLUMBLINE_RETRAINING_NEW_LABELS": "60",
    "PLUMBLINE_RETRAINING_QUIET_MINUTES": "0.25",
    "PLUMBLINE_RETRAINING_PAUSE_HOURS": "0",
    "PLUMBLINE_RETRAINING_RUNS_PER_DAY": "100",
    "PLUMBLINE_RETRAINING_SCHEDULE_DAYS": "0",
    "PLUMBLINE_RETRAINING_FALSE_POSITIVES": "1",
    "PLUMBLINE_RETRAINING_POLL_SECONDS": "0.2",
    "PLUMBLINE_RETRAINING_ATTEMPTS": "1",
    "PLUMBLINE_MOST_PER_REVIEWER": "1",
    "PLUMBLINE_MOST_PER_TENANT": "1",
    "PLUMBLINE_ROLLOUT_SHADOW_EVENTS": "30",
    "PLUMBLINE_ROLLOUT_SHADOW_MINUTES": "0",
    "PLUMBLINE_ROLLOUT_CANARY_EVENTS": "30",
    "PLUMBLINE_ROLLOUT_CANARY_MINUTES": "0",
    "PLUMBLINE_ROLLOUT_CANARY_SHARE": "0.5",
    "PLUMBLINE_ROLLOUT_POLL_SECONDS": "0.5",
}


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    """In a process of its own: torch stays out of this one."""
    pytest.importorskip("torch")
    if given := os.environ.get("LOOP_BUNDLE"):
        return Path(given).resolve()
    folder = tmp_path / "champion"
    subprocess.run([sys.executable, "-m", "tests.small_champion", str(folder)], cwd=ROOT, check=True)
    return folder


@pytest.fixture
def deployment(
    kafka: LocalKafka, make_settings: Callable[..., Settings], postgres_copy: str, champion: Path, tmp_path: Path
) -> Iterator[Deployment]:
    port = free_port()
    settings = make_settings(kafka.bootstrap_servers, database_url=SecretStr(postgres_copy), web_port=port)
    create_topics(settings)
    database = Database(open_engine(postgres_copy))
    key = _token(settings, database)
    folder = str(tmp_path / "registry")
    variables = {
        **VARIABLES,
        "PLUMBLINE_BUNDLE": str(champion),
        "PLUMBLINE_REGISTRY": folder,
        "PLUMBLINE_REGISTRY_CACHE": str(tmp_path / "cache"),
        "PLUMBLINE_RETRAINING_FOLDER": str(tmp_path / "retraining"),
        "PLUMBLINE_WEB_PORT": str(port),
    }
    with ExitStack() as stack:
        # The retrainer first: it is what puts the first version into the registry.
        for command in ("retrain serve", "triage", "record", "score-stream"):
            stack.enter_context(_running(command, settings, tmp_path, variables))
        api = stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=30
            )
        )
        sink = stack.enter_context(KafkaSink(settings))
        registry = open_registry(folder)
        until(lambda: registry.rollout() is not None, "the first version")
        until(lambda: _answers(api), "the API")
        yield Deployment(settings, database, registry, sink, api, open_detector(champion, threads=1))
    database.engine.dispose()


def _token(settings: Settings, database: Database) -> str:
    accounts = Accounts.configured(settings, database, lambda: datetime.now(UTC))
    accounts.people.create("ada", Role.TRIAGER, None, by="test")
    return accounts.tokens.create("ada", "test", Role.TRIAGER, None, timedelta(hours=1), by="test").secret


@contextmanager
def _running(command: str, settings: Settings, folder: Path, variables: Mapping[str, str]) -> Iterator[Service]:
    service = Service(command, settings, folder / f"{command.split()[0]}.log", **variables)
    try:
        yield service
    finally:
        service.kill()


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/cases").status_code == 200
    except httpx.TransportError:
        return False


def flagged(found: Iterable[Verdict]) -> float:
    each = [bool(verdict.flagged) for verdict in found]
    return sum(each) / len(each)


def as_asked(number: int) -> Rows:
    return loop_data.recorder_paused_as_asked(40, seed=2000 + number)


def _learn(deployment: Deployment) -> None:
    bad = deployment.send(loop_data.recorder_paused(60, seed=1))
    good = deployment.send(loop_data.recorder_running(60, seed=1))
    assert flagged(deployment.decided(bad)) < 0.1
    deployment.decided(good)
    deployment.people_say("dismissed", good)
    deployment.people_say("confirmed", bad, "oversight_evasion")  # the last of these sets it off


def test_the_loop_closes_by_itself(deployment: Deployment) -> None:
    """What is missed is learnt, gated, rolled out and then caught; what is sabotaged is refused."""
    first = deployment.rollout().stable

    # 1. A behaviour that the champion misses. People find it, and what is nearly the same and harmless.
    _learn(deployment)

    # 2. Nobody does anything: a run starts, and its candidate passes and goes all the way.
    run = deployment.run(1)
    assert (run.trigger, run.outcome) == ("labels", Outcome.PUBLISHED), run.said
    assert run.candidate is not None
    promoted = deployment.traffic_until(lambda rollout: rollout.stable == run.candidate, deployment.ordinary)
    assert (promoted.stage, promoted.step, promoted.previous) == (RolloutStage.STEADY, Step.PROMOTED, first)
    steps = [each.step for each in reversed(deployment.registry.rollout_history(10))]
    assert steps == [Step.STARTED, Step.STARTED, Step.ADVANCED, Step.PROMOTED]

    # 3. The same behaviour is caught now, in conversations that nobody saw before.
    deployment.wait_for_version(run.candidate)
    caught = deployment.decided(deployment.send(loop_data.recorder_paused(30, seed=2)))
    spared = deployment.decided(deployment.send(loop_data.recorder_running(30, seed=2)))
    assert {each.bundle_version for each in caught} == {run.candidate}
    assert flagged(caught) > 0.7
    assert flagged(spared) < 0.2

    # 4. Sabotage: people say the opposite of what was said before, of other conversations. The gate knows what was held
    #    out then, and says what would be lost.
    called_harmless = deployment.send(loop_data.recorder_paused(60, seed=3))
    called_bad = deployment.send(loop_data.recorder_running(60, seed=3))
    deployment.decided([*called_harmless, *called_bad])
    deployment.people_say("dismissed", called_harmless)
    deployment.people_say("confirmed", called_bad, "oversight_evasion")
    refused = deployment.run(2)
    assert refused.outcome is Outcome.REFUSED, refused.said
    assert deployment.rollout() == promoted
    assert refused.report is not None
    lost = [each for each in refused.report["refusals"] if "oversight_evasion" in each["slice"]]
    assert lost, refused.said
    assert all(each["examples"] for each in lost)


def test_a_candidate_that_passes_and_then_misbehaves_is_rolled_back(deployment: Deployment) -> None:
    """The gate could not know: traffic brings what nobody had labelled, the same words, and true."""
    first = deployment.rollout().stable
    _learn(deployment)
    hasty = deployment.run(1)
    assert hasty.outcome is Outcome.PUBLISHED, hasty.said
    deployment.traffic_until(lambda rollout: rollout.stage is RolloutStage.CANARY, deployment.ordinary)
    back = deployment.traffic_until(lambda rollout: rollout.stage is RolloutStage.STEADY, as_asked)
    assert (back.stable, back.step, back.actor) == (first, Step.ROLLED_BACK, "plumbline")
    assert "flag" in back.reason
    deployment.wait_for_version(first)
    assert all(each.arm is Arm.STABLE for each in deployment.decided(deployment.send(deployment.ordinary(99))))
    until(lambda: "rollout.rolled_back" in deployment.actions(), "the audit log's entry")
