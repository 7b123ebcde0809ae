"""The loop: how batches fill, what is retried, how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from prometheus_client import CollectorRegistry

from services.dead_letters import FloodGate, dead_letter
from services.errors import DeadLetterFlood, TransientError
from services.metrics import StreamMetrics
from services.records import Outgoing, Record
from services.stream import Batching, Handled, Stream

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Script:
    """Source, handler and sink in one, writing down what happens."""

    polls: list[list[Record]]
    stop: Event = field(default_factory=Event)
    log: list[str] = field(default_factory=list)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    dead: bool = False

    def poll(self, max_records: int, timeout: timedelta) -> list[Record]:
        if self.polls:
            return self.polls.pop(0)
        if timeout:
            self.stop.set()
        return []

    def prepare(self, records: Sequence[Record]) -> Sequence[Record]:
        self._happens("prepare", records)
        return records

    def complete(self, prepared: Sequence[Record]) -> Handled:
        self._happens("complete", prepared)
        if self.dead:
            return Handled(dead_letters=[dead_letter(record, "bad", "why", NOW) for record in prepared])
        return Handled(outgoing=[Outgoing("out", record.key, record.value or b"") for record in prepared])

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        self._happens("deliver", outgoing)

    def commit(self, records: Sequence[Record]) -> None:
        self._happens("commit", records)

    def _happens(self, step: str, items: Sequence[object]) -> None:
        if self.failures.get(step):
            raise self.failures[step].pop(0)
        self.log.append(f"{step} {len(items)}")


def record(offset: int, size: int = 1) -> Record:
    return Record("in", 0, offset, b"k", b"x" * size, NOW)


def run(script: Script, registry: CollectorRegistry | None = None, **options: object) -> CollectorRegistry:
    registry = registry or CollectorRegistry()
    defaults: dict[str, object] = {
        "batching": Batching(4, 1000, timedelta(0)),
        "retry_for": timedelta(seconds=60),
        "flood_gate": FloodGate(limit=1.0, window=100),
        "max_dead_letter_bytes": 1000,
        "metrics": StreamMetrics(registry),
        "clock": lambda: NOW,
        "sleep": lambda seconds: None,
    }
    Stream(script, script, script, **{**defaults, **options}).run(script.stop)  # type: ignore[arg-type]
    return registry


def steps(script: Script) -> list[str]:
    """Without `prepare`, which runs in a thread of its own."""
    return [line for line in script.log if not line.startswith("prepare")]


def test_each_batch_is_completed_delivered_and_committed_in_this_order():
    script = Script([[record(0), record(1)], [], [record(2)]])
    run(script)
    assert steps(script) == ["complete 2", "deliver 2", "commit 2", "complete 1", "deliver 1", "commit 1"]


def test_a_batch_is_full_at_its_number_of_records():
    script = Script([[record(n)] for n in range(6)])
    run(script, batching=Batching(4, 1000, timedelta(seconds=60)))
    assert steps(script)[0] == "complete 4"


def test_a_batch_is_full_at_its_number_of_bytes():
    script = Script([[record(n, size=400)] for n in range(6)])
    run(script, batching=Batching(100, 1000, timedelta(seconds=60)))
    assert steps(script)[0] == "complete 3"


def test_the_next_batch_is_prepared_while_this_one_is_completed():
    second_is_prepared = Event()

    class Overlapping(Script):
        def prepare(self, records: Sequence[Record]) -> Sequence[Record]:
            if records[0].offset == 1:
                second_is_prepared.set()
            return super().prepare(records)

        def complete(self, prepared: Sequence[Record]) -> Handled:
            assert second_is_prepared.wait(30)
            return super().complete(prepared)

    script = Overlapping([[record(0)], [record(1)]])
    run(script, batching=Batching(1, 1000, timedelta(0)))
    assert sum(line.startswith("commit") for line in script.log) == 2


def test_what_was_polled_before_the_stop_is_finished_and_no_more_is_polled():
    class Stopping(Script):
        def complete(self, prepared: Sequence[Record]) -> Handled:
            self.stop.set()
            return super().complete(prepared)

    script = Stopping([[record(0)], [record(1)], [record(2)]])
    run(script, batching=Batching(1, 1000, timedelta(0)))
    assert sum(line.startswith("commit") for line in script.log) == 2  # the second was being prepared already
    assert len(script.polls) == 1


@pytest.mark.parametrize("step", ["complete", "deliver", "commit"])
def test_a_transient_error_is_retried_and_counted(step):
    script = Script([[record(0)]], failures={step: [TransientError("away"), TransientError("still away")]})
    registry = run(script)
    assert steps(script) == ["complete 1", "deliver 1", "commit 1"]
    assert registry.get_sample_value("plumbline_retries_total", {"step": step}) == 2


@pytest.mark.parametrize("step", ["complete", "deliver"])
def test_when_retries_run_out_nothing_is_committed(step):
    script = Script([[record(0)]], failures={step: [TransientError("away")] * 3})
    with pytest.raises(TransientError):
        run(script, retry_for=timedelta(0))
    assert not [line for line in script.log if line.startswith("commit")]


@pytest.mark.parametrize("step", ["prepare", "complete", "deliver"])
def test_a_bug_ends_the_stream_without_a_commit(step):
    script = Script([[record(0)]], failures={step: [ZeroDivisionError()]})
    with pytest.raises(ZeroDivisionError):
        run(script)
    assert not [line for line in script.log if line.startswith("commit")]


def test_dead_letters_are_delivered_before_the_commit_and_counted():
    script = Script([[record(0), record(1)]], dead=True)
    registry = run(script)
    assert steps(script) == ["complete 2", "deliver 2", "commit 2"]
    assert registry.get_sample_value("plumbline_records_total", {"outcome": "dead_lettered"}) == 2
    assert registry.get_sample_value("plumbline_dead_letters_total", {"code": "bad"}) == 2


def test_a_dead_letter_that_would_not_fit_is_delivered_without_its_value():
    class Watching(Script):
        def deliver(self, outgoing: Sequence[Outgoing]) -> None:
            assert [(len(each.value), dict(each.headers)["plumbline-size"]) for each in outgoing] == [(0, b"2000")]
            super().deliver(outgoing)

    script = Watching([[record(0, size=2000)]], dead=True)
    run(script, batching=Batching(4, 100_000, timedelta(0)))
    assert steps(script) == ["complete 1", "deliver 1", "commit 1"]


def test_a_flood_of_dead_letters_stops_the_stream_before_anything_of_it_is_delivered():
    script = Script([[record(n) for n in range(12)]], dead=True)
    with pytest.raises(DeadLetterFlood, match="dead-letters list"):
        run(script, flood_gate=FloodGate(limit=0.5, window=20), batching=Batching(100, 10_000, timedelta(0)))
    assert steps(script) == ["complete 12"]


def test_a_flood_of_dead_letters_shows_in_the_share_before_it_stops_the_stream():
    script, registry = Script([[record(n) for n in range(12)]], dead=True), CollectorRegistry()
    with pytest.raises(DeadLetterFlood):
        run(
            script,
            registry,
            flood_gate=FloodGate(limit=0.5, window=20),
            batching=Batching(100, 10_000, timedelta(0)),
        )
    assert registry.get_sample_value("plumbline_dead_letter_share") == 1.0


def test_what_is_to_be_done_while_nothing_comes_is_done_and_may_fail():
    class Idle(Script):
        idle_times = 0

        def poll(self, max_records: int, timeout: timedelta) -> list[Record]:
            return self.polls.pop(0) if self.polls else []

        def idle(self) -> None:
            self.idle_times += 1
            if self.idle_times == 2:
                self.stop.set()
            raise TransientError("the database is away")

    script = Idle([[record(0)], []])
    registry = run(script, idle=script.idle)
    assert script.idle_times == 2
    assert registry.get_sample_value("plumbline_retries_total", {"step": "idle"}) == 2
