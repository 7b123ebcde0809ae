"""Real Kafka, a real scorer, real bundles: versions come and go while events flow, and each event is decided once."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType

import pytest

from deploy.kafka.local import LocalKafka
from deploy.registry import Registry, open_registry
from deploy.rollout.state import Rollout, first
from deploy.rollout.steps import advance, promote, roll_back, start
from detectors.bundle import load_bundle, rethresholded
from detectors.codec import decode_verdict
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Arm, Status, Verdict
from services.kafka import KafkaSink, KafkaSource
from services.records import Outgoing
from services.schema import upgrade
from services.settings import Settings
from services.store import Store, open_engine
from tests.processes import Service

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(420)]

PATIENCE = 150.0
POLL = "0.1"
WHO = {"actor": "ada", "reason": "a test"}


def conversation(number: int) -> str:
    return f"c{number}"


class Traffic:
    """Sends events, one conversation each, until it is left. `sent` counts what the broker has."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._numbers = count()
        self._lock = Lock()
        self._stop = Event()
        self._thread = Thread(target=self._run, daemon=True)
        self.sent = 0

    def __enter__(self) -> Traffic:
        self._sink = KafkaSink(self._settings).__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        self._sink.close()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            self.send(4)

    def send(self, events: int) -> range:
        """The numbers of new events, all of which the broker has then."""
        with self._lock:
            first_number = self.sent
            self._sink.deliver([self._outgoing(next(self._numbers)) for _ in range(events)])
            self.sent += events
            return range(first_number, self.sent)

    def _outgoing(self, number: int) -> Outgoing:
        body = {
            "event_id": f"e{number}",
            "conversation_id": conversation(number),
            "occurred_at": datetime.now(UTC).isoformat(),
            "messages": [{"role": "assistant", "content": f"Ticket {number} is closed."}],
        }
        key = f"default/{conversation(number)}".encode()
        return Outgoing(self._settings.topic("transcripts"), key, json.dumps(body).encode())


@dataclass
class Heard:
    """Verdicts, as they come."""

    source: KafkaSource
    scorer: Service
    verdicts: list[Verdict] = field(default_factory=list)

    def until(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert self.scorer.alive(), "the scorer ended"
            assert time.monotonic() < deadline, f"nothing more came: {self.told()}"
            records = self.source.poll(500, timedelta(milliseconds=200))
            self.verdicts += [decode_verdict(record.value or b"") for record in records]

    def told(self) -> Counter[tuple[str, str]]:
        return Counter((verdict.arm.value, verdict.bundle_version) for verdict in self.verdicts)

    def count(self, arm: Arm, version: str) -> int:
        return self.told()[arm.value, version]

    def deciding(self) -> dict[str, list[Verdict]]:
        found: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            if verdict.arm.decides:
                found.setdefault(verdict.event_id, []).append(verdict)
        return found


@dataclass
class Place:
    """A registry with three versions, the last of which is broken, and a scorer that follows it."""

    registry: Registry
    versions: tuple[str, str, str]
    rollout: Rollout
    traffic: Traffic
    heard: Heard

    def move(self, rollout: Rollout) -> None:
        self.registry.move(rollout)
        self.rollout = rollout


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    thresholds = load_bundle(DEFAULT_BUNDLE).manifest.thresholds
    folder = tmp_path_factory.mktemp("bundles")
    for name, threshold in (("second", 0.98), ("third", 0.99)):
        rethresholded(DEFAULT_BUNDLE, folder / name, {**thresholds, MISALIGNMENT: threshold})
    return [DEFAULT_BUNDLE, folder / "second", folder / "third"]


@contextmanager
def running(settings: Settings, bundles: list[Path], folder: Path) -> Iterator[Place]:
    registry = open_registry(str(folder / "registry"))
    one, two, three = (registry.publish(bundle, {}) for bundle in bundles)
    model = registry.describe(three).files["manifest.json"].sha256
    (folder / "registry" / "files" / model).write_bytes(b'{"format": 3}')  # the disk went bad after it was published
    rollout = first(one, datetime.now(UTC))
    registry.move(rollout)
    with ExitStack() as stack:
        scorer = Service(
            "score-stream",
            settings,
            folder / "scorer.log",
            PLUMBLINE_REGISTRY=str(folder / "registry"),
            PLUMBLINE_REGISTRY_CACHE=str(folder / "cache"),
            PLUMBLINE_REGISTRY_POLL_SECONDS=POLL,
        )
        stack.callback(scorer.kill)
        source = stack.enter_context(KafkaSource(settings, topics=[settings.topic("verdicts")], group="watch"))
        traffic = stack.enter_context(Traffic(settings))
        yield Place(registry, (one, two, three), rollout, traffic, Heard(source, scorer))


def test_a_version_goes_from_shadow_to_stable_and_a_broken_one_nowhere_while_events_flow(
    kafka: LocalKafka, make_settings: Callable[..., Settings], bundles: list[Path], tmp_path: Path
) -> None:
    settings = make_settings(kafka.bootstrap_servers)
    with running(settings, bundles, tmp_path) as place:
        heard, (one, two, three) = place.heard, place.versions
        now = datetime.now(UTC)
        heard.until(lambda: heard.count(Arm.STABLE, one) >= 20)
        place.move(start(place.rollout, two, at=now, **WHO))
        heard.until(lambda: heard.count(Arm.SHADOW, two) >= 30)
        place.move(advance(place.rollout, 0.5, at=now, **WHO))
        canary = place.rollout
        heard.until(lambda: heard.count(Arm.CANARY, two) >= 5)
        in_canary = [number for _ in range(10) for number in place.traffic.send(10)]
        heard.until(lambda: {f"e{number}" for number in in_canary} <= heard.deciding().keys())
        place.move(promote(place.rollout, at=now, **WHO))
        heard.until(lambda: heard.count(Arm.STABLE, two) >= 20)
        # A broken bundle: asked for in every way there is, and never serving.
        place.move(start(place.rollout, three, at=now, **WHO))
        before = heard.count(Arm.STABLE, two)
        heard.until(lambda: heard.count(Arm.STABLE, two) >= before + 20)
        place.move(advance(place.rollout, 1.0, at=now, **WHO))
        heard.until(lambda: heard.count(Arm.STABLE, two) >= before + 60)
        place.move(promote(place.rollout, at=now, **WHO))
        heard.until(lambda: heard.count(Arm.STABLE, two) >= before + 100)
        place.move(roll_back(place.rollout, at=now, **WHO))
        last = place.traffic.send(20)
        heard.until(lambda: {f"e{number}" for number in last} <= heard.deciding().keys())
        place.traffic.__exit__(None, None, None)
        heard.until(lambda: len(heard.deciding()) == place.traffic.sent)
        assert heard.scorer.terminate() == 0

    decided = heard.deciding()
    assert decided.keys() == {f"e{number}" for number in range(place.traffic.sent)}
    assert {len(verdicts) for verdicts in decided.values()} == {1}, "an event was decided twice"
    assert {v.status for v in heard.verdicts} == {Status.SCORED}
    assert all(v.seconds is not None and v.seconds > 0 for v in heard.verdicts)
    assert heard.told().keys() == {("stable", one), ("shadow", two), ("canary", two), ("stable", two)}
    expected = {f"e{number}": canary.arm_of("default", conversation(number)) for number in in_canary}
    assert {event: decided[event][0].arm for event in expected} == expected
    assert 30 <= sum(arm is Arm.CANARY for arm in expected.values()) <= 70
    shadows = Counter(v.event_id for v in heard.verdicts if v.arm is Arm.SHADOW)
    assert set(shadows.values()) == {1}
    assert "cannot be loaded: what serves goes on serving" in (tmp_path / "scorer.log").read_text()


@pytest.mark.parametrize("delay", [0.05, 0.25, 0.6, 1.2])
def test_a_scorer_killed_during_a_swap_serves_what_the_registry_says_when_it_is_back(
    kafka: LocalKafka, make_settings: Callable[..., Settings], bundles: list[Path], tmp_path: Path, delay: float
) -> None:
    """After `delay` seconds a scorer may be reading, fetching, loading or rehearsing, or be done."""
    settings = make_settings(kafka.bootstrap_servers)
    with running(settings, bundles, tmp_path) as place:
        heard, (one, two, _) = place.heard, place.versions
        now = datetime.now(UTC)
        heard.until(lambda: heard.count(Arm.STABLE, one) >= 10)
        place.move(start(place.rollout, two, at=now, **WHO))
        place.move(promote(place.rollout, at=now, **WHO))
        time.sleep(delay)
        heard.scorer.restart_after_kill()
        heard.until(lambda: heard.count(Arm.STABLE, two) >= 10)
        after = place.traffic.send(10)
        heard.until(lambda: {f"e{number}" for number in after} <= heard.deciding().keys())
        place.traffic.__exit__(None, None, None)
        heard.until(lambda: len(heard.deciding()) == place.traffic.sent)

    decided = heard.deciding()
    assert decided.keys() == {f"e{number}" for number in range(place.traffic.sent)}
    assert {v.bundle_version for number in after for v in decided[f"e{number}"]} == {two}
    # What was delivered and not committed is judged again, perhaps by the other bundle: it counts once all the same.
    engine = open_engine(settings.database_url.get_secret_value())
    upgrade(engine)
    store = Store(engine)
    store.record(heard.verdicts, [], now=now)
    assert store.coverage().by_status == {"scored": place.traffic.sent}
