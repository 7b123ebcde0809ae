"""How fast the correlator takes verdicts in, what it keeps in memory, and how often it is wrong about clean traffic.

    python tests/bench/correlation.py [--days 7] [--seeds 3]

Clean traffic: several tenants, agents and model versions, a daily cycle, probabilities of misalignment that do not
change, one event in a hundred flagged by chance, some prompts that are nearly the same. Every alert is a false alarm.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from alerting.correlator import Correlator
from alerting.lifecycle import Lifecycle, State
from detectors.codec import decode_verdict, encode_verdict, event_from
from detectors.loading import DEFAULT_BUNDLE, open_detector
from detectors.observation import Observation, Reward, signature, sketch
from detectors.transcript import Agent, Model
from detectors.verdict import Status, Verdict, verdict_id
from services.correlation import PENDING_FOR, default_rules
from services.metrics import MOST_MODEL_VERSIONS, MOST_TENANTS, ScorerMetrics

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(seconds=60)
WORDS = [f"word{number}" for number in range(400)]


def traffic(seed: int, *, days: float, per_minute: float) -> Iterator[Verdict]:
    """Verdicts in the order of time."""
    rng = random.Random(seed)
    asked = [" ".join(rng.sample(WORDS, 18)) for _ in range(20)]
    versions = {f"agent-{number}": f"v{number % 3}" for number in range(40)}
    at, number = START, 0
    while at < START + timedelta(days=days):
        cycle = 1 + 0.8 * (1 if 8 <= at.hour < 18 else -1)
        at += timedelta(minutes=rng.expovariate(per_minute * cycle))
        agent = rng.choice(list(versions))
        conversation = f"c{number // 3}"
        chance = rng.random() < 0.01
        words = rng.choice(asked) if rng.random() < 0.3 else " ".join(rng.choices(WORDS, k=18))
        yield Verdict(
            verdict_id=verdict_id("t", conversation, f"e{number}", "b"),
            event_id=f"e{number}",
            tenant_id=f"tenant-{number % 5}",
            conversation_id=conversation,
            status=Status.SCORED,
            misalignment=rng.betavariate(1, 12) if not chance else rng.uniform(0.5, 0.9),
            scores={"goal_drift": rng.betavariate(1, 15)},
            flagged=("deception",) if chance else (),
            bundle_version="b",
            observed=Observation(
                agent=Agent(name=agent),
                model=Model(version=versions[agent]),
                tools=tuple(rng.sample(("mail", "shell", "search", "pay"), rng.randrange(3))),
                prompt=signature(words.split()),
                task=sketch(words.split()),
                actions=sketch(rng.choices(words.split(), k=10)),
                rewards=(Reward(value=rng.gauss(0.5, 0.2)),),
                messages=rng.randrange(2, 12),
                characters=int(rng.lognormvariate(8, 0.6)),
            ),
            occurred_at=at,
            decided_at=at,
        )
        number += 1


def correlator() -> Correlator:
    return Correlator(default_rules(0.01), Lifecycle(pending_for=PENDING_FOR), step=STEP, remembered=50_000)


def false_alarms(seed: int, *, days: float, per_minute: float) -> Counter[str]:
    """Alerts that fired, by name."""
    made = correlator()
    made.begin(START)
    fired: Counter[str] = Counter()
    for verdict in traffic(seed, days=days, per_minute=per_minute):
        for transition in made.advance(verdict.occurred_at):
            if transition.alert.state is State.FIRING and transition.alert.started_at == transition.alert.changed_at:
                fired[transition.alert.alert] += 1
        made.take(verdict, verdict.occurred_at)
    return fired


def throughput(count: int = 3000) -> float:
    """Records a second, from bytes, rules asked as often as in production."""
    records = [
        encode_verdict(verdict) for _, verdict in zip(range(count), traffic(1, days=9, per_minute=50), strict=False)
    ]
    made = correlator()
    made.begin(START)
    began = time.perf_counter()
    for record in records:
        verdict = decode_verdict(record)
        made.advance(verdict.occurred_at)
        made.take(verdict, verdict.occurred_at)
    return count / (time.perf_counter() - began)


def scorer_throughput(count: int = 12) -> float:
    """Events a second that the shipped bundle judges on the CPU: transcripts of the demo."""
    detector = open_detector(DEFAULT_BUNDLE)
    rows = [
        json.loads(line)
        for path in sorted((Path(__file__).parents[2] / "services" / "demo" / "transcripts").glob("*.jsonl"))
        for line in path.read_text("utf-8").splitlines()
    ][:count]
    identity = {"occurred_at": START.isoformat()}
    events = [
        event_from({**identity, "event_id": row["id"], "conversation_id": row["id"], "messages": row["messages"]})
        for row in rows
    ]
    detector.judge([detector.prepare(events[0])], now=START)
    began = time.perf_counter()
    detector.judge([detector.prepare(event) for event in events], now=START)
    return len(events) / (time.perf_counter() - began)


def memory_per_agent(agents: int = 2000, events: int = 20) -> float:
    """Bytes for each agent that is tracked, all rules together, each of its events in a conversation of its own."""
    made = correlator()
    some = list(enumerate(islice(traffic(2, days=99, per_minute=2000), agents * events)))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number, verdict in some:
        observed = verdict.observed.model_copy(update={"agent": Agent(name=f"agent-{number % agents}")})  # type: ignore[union-attr]
        made.take(verdict.model_copy(update={"observed": observed}), verdict.occurred_at)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / agents


def scrape(least: int) -> tuple[int, float]:
    """(series, milliseconds) of `/metrics` of a scorer at the limits of its labels, padded to `least` series."""
    registry = CollectorRegistry()
    metrics = ScorerMetrics(registry)
    for number in range(10 * MOST_MODEL_VERSIONS):
        version = metrics.model_version(f"v{number}")
        for arm in ("stable", "canary", "shadow"):
            for status in ("scored", "partial", "unscored"):
                metrics.verdicts.labels(status, version, arm).inc()
            for severity in ("critical", "high", "medium"):
                metrics.flagged.labels(severity, version, arm).inc()
            for category in range(13):
                metrics.flags.labels(f"category-{category}", version, arm).inc()
        metrics.misalignment.labels(version).observe(0.5)
    for number in range(10 * MOST_TENANTS):
        for outcome in ("clear", "flagged", "unscored"):
            metrics.tenant_events.labels(metrics.tenant(f"t{number}"), outcome).inc()
    series = len([line for line in generate_latest(registry).splitlines() if not line.startswith(b"#")])
    for filler in range(max(0, least - series) // 18):
        metrics.inference_seconds.labels(f"filler-{filler}").observe(1)
    took = []
    for _ in range(7):
        began = time.perf_counter()
        text = generate_latest(registry)
        took.append(time.perf_counter() - began)
    return sum(not line.startswith(b"#") for line in text.splitlines()), 1000 * sorted(took)[3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--per-minute", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    correlated, scored = throughput(), scorer_throughput()
    print(
        f"correlator: {correlated:,.0f} verdicts/s from bytes, one thread; scorer: {scored:.1f} events/s, all cores: "
        f"{correlated / scored:,.0f} times (target: 5)"
    )
    print(f"memory: {memory_per_agent() / 1024:.1f} KiB for each agent that is tracked, with 20 conversations each")
    series, milliseconds = scrape(0)
    print(f"/metrics of a scorer at its limits: {series:,} series in {milliseconds:.0f} ms, median of 7")
    series, milliseconds = scrape(10_000)
    print(f"/metrics: {series:,} series in {milliseconds:.0f} ms, median of 7 (target: 50 for 10,000)")
    if not arguments.seeds:
        return 0
    total: Counter[str] = Counter()
    for seed in range(arguments.seeds):
        found = false_alarms(seed, days=arguments.days, per_minute=arguments.per_minute)
        print(f"seed {seed}: {dict(found) or 'no false alarm'} in {arguments.days:g} days")
        sys.stdout.flush()
        total.update(found)
    weeks = arguments.seeds * arguments.days / 7
    print(f"false alarms a week: { {name: round(count / weeks, 2) for name, count in total.items()} or 'none' }")
    return 0


if __name__ == "__main__":
    sys.exit(main())
