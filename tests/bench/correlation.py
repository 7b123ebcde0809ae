"""How fast the correlator takes verdicts in, what it keeps in memory, and how often it is wrong about clean traffic.

    python tests/bench/correlation.py [--days 7] [--seeds 3]

Clean traffic is that of `clean_traffic.py`, of 40 agents and of a single one. Every alert is a false alarm.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from statistics import median

from clean_traffic import START, traffic
from correlator_memory import at_limits, per_agent
from prometheus_client import CollectorRegistry, disable_created_metrics

from alerting.correlator import Correlator
from alerting.lifecycle import Lifecycle, State
from detectors.codec import decode_verdict, encode_verdict, event_from
from detectors.loading import DEFAULT_BUNDLE, open_detector
from services.correlation import PENDING_FOR, default_rules
from services.exposition import Exposition
from services.metrics import MOST_MODEL_VERSIONS, MOST_TENANTS, ScorerMetrics

STEP = timedelta(seconds=60)
BUDGET = 0.01


def correlator() -> Correlator:
    return Correlator(default_rules(BUDGET), Lifecycle(pending_for=PENDING_FOR), step=STEP, remembered=50_000)


def false_alarms(seed: int, *, days: float, per_minute: float, agents: int) -> Counter[str]:
    """Alerts that fired, by name."""
    made = correlator()
    made.begin(START)
    fired: Counter[str] = Counter()
    for verdict in traffic(seed, days=days, per_minute=per_minute, agents=agents):
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


def scrape(least: int) -> tuple[int, float, float]:
    """(series, milliseconds, of which computing) of a scorer at the limits of its labels, padded to `least` series."""
    disable_created_metrics()  # as where metrics are served
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
    exposition = Exposition(registry)
    series = sum(not line.startswith(b"#") for line in exposition.text().splitlines())
    for filler in range(-(-max(0, least - series) // 18)):
        metrics.inference_seconds.labels(f"filler-{filler}").observe(1)
    took, busy = [], []
    for _ in range(15):
        began, ran = time.perf_counter(), time.thread_time()
        text = exposition.text()
        took.append(time.perf_counter() - began)
        busy.append(time.thread_time() - ran)
    series = sum(not line.startswith(b"#") for line in text.splitlines())
    return series, 1000 * median(took), 1000 * median(busy)


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
    kept = per_agent(lambda: default_rules(BUDGET)) / 1024
    print(f"memory: {kept:.1f} KiB for each further agent, with 5 conversations of 1 to 40 events each")
    most = at_limits()
    print(f"memory with every limit reached: {sum(most.values()):.0f} MB ({ {k: round(v) for k, v in most.items()} })")
    for least, what in ((0, "of a scorer at its limits"), (10_000, "with more (target: 50 ms)")):
        series, took, busy = scrape(least)
        print(f"/metrics {what}: {series:,} series in {took:.0f} ms, {busy:.0f} ms of them computing, medians of 15")
    if not arguments.seeds:
        return 0
    total: Counter[str] = Counter()
    for agents, share in ((40, 1.0), (1, 0.3)):
        total.clear()
        for seed in range(arguments.seeds):
            found = false_alarms(seed, days=arguments.days, per_minute=share * arguments.per_minute, agents=agents)
            print(
                f"{agents} agents, seed {seed}: {dict(found) or 'no false alarm'} in {arguments.days:g} days",
                flush=True,
            )
            total.update(found)
        weeks = arguments.seeds * arguments.days / 7
        told = {name: round(count / weeks, 2) for name, count in total.items()}
        print(f"{agents} agents: false alarms a week, of {weeks:.1f} weeks: {told or 'none'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
