"""What the recorder says about cases, and the command that lists and acknowledges them. Cases: tests/contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from detectors.codec import encode_verdict
from detectors.verdict import Verdict
from services.metrics import RecorderMetrics
from services.recorder import Recorder
from services.records import Record
from services.store import Store
from services.triage.actions import Actions, Actor

MakeVerdict = Callable[..., Verdict]
HIGH, CRITICAL = ["deception", "misalignment"], ["coercion", "misalignment"]


def test_the_recorder_reports_open_cases_and_how_long_they_waited(
    store: Store, make_verdict: MakeVerdict, make_record: Callable[..., Record], now: datetime
) -> None:
    registry = CollectorRegistry()
    times = iter([now, now, now + timedelta(seconds=5), now + timedelta(seconds=60), now + timedelta(seconds=120)])
    topic = "plumbline.verdicts"
    recorder = Recorder(store, verdict_topic=topic, metrics=RecorderMetrics(registry), clock=lambda: next(times))

    def record(verdict: Verdict) -> None:
        recorder.complete(recorder.prepare([make_record(encode_verdict(verdict), topic=topic)]))

    record(make_verdict("e1", flagged=CRITICAL))
    assert registry.get_sample_value("plumbline_open_cases", {"severity": "critical"}) == 1
    (case,) = store.cases(limit=10, now=now)
    with store.database.write() as tx:
        Actions("q", "a", b"0" * 16).acknowledge(tx, Actor("ada", None), case.case_id, 1, now + timedelta(seconds=30))
    record(make_verdict("e2"))  # five seconds later: not yet
    assert registry.get_sample_value("plumbline_acknowledge_seconds_count") == 0
    record(make_verdict("e3"))
    assert registry.get_sample_value("plumbline_open_cases", {"severity": "critical"}) == 0
    record(make_verdict("e4"))
    assert registry.get_sample_value("plumbline_acknowledge_seconds_count") == 1
    assert registry.get_sample_value("plumbline_acknowledge_seconds_sum") == 30


def test_the_oldest_open_case_is_told_for_each_severity_while_nothing_comes(
    store: Store, make_verdict: MakeVerdict, now: datetime
) -> None:
    registry = CollectorRegistry()
    times = iter([now, *(now + timedelta(seconds=seconds) for seconds in (0, 5, 20))])
    recorder = Recorder(store, verdict_topic="v", metrics=RecorderMetrics(registry), clock=lambda: next(times))

    def age(severity: str) -> float | None:
        return registry.get_sample_value("plumbline_oldest_open_case_seconds", {"severity": severity})

    store.record([make_verdict("e1", conversation_id="c1", flagged=HIGH)], [], now=now - timedelta(hours=9))
    store.record([make_verdict("e2", conversation_id="c2", flagged=CRITICAL)], [], now=now - timedelta(minutes=1))
    recorder.report()
    assert (age("high"), age("critical"), age("medium")) == (9 * 3600, 60, 0)
    recorder.report()  # five seconds later: not yet
    assert age("critical") == 60
    recorder.report()
    assert age("critical") == 80


def test_probes_are_not_among_the_verdicts_recorded(
    store: Store, make_verdict: MakeVerdict, make_record: Callable[..., Record], now: datetime
) -> None:
    registry = CollectorRegistry()
    recorder = Recorder(store, verdict_topic="v", metrics=RecorderMetrics(registry), clock=lambda: now)
    verdicts = [make_verdict("e1"), make_verdict("e2", synthetic=True)]
    recorder.complete(recorder.prepare([make_record(encode_verdict(each), topic="v") for each in verdicts]))
    assert registry.get_sample_value("plumbline_recorded_verdicts_total", {"status": "scored"}) == 1


def test_the_command_lists_and_acknowledges(
    store: Store, make_verdict: MakeVerdict, now: datetime, monkeypatch: object, tmp_path: object
) -> None:
    from services.cli import cases as command

    monkeypatch.setattr(command, "_store", lambda: store)  # type: ignore[attr-defined]
    store.record([make_verdict("e1", flagged=CRITICAL)], [], now=now)
    runner = CliRunner()
    assert "coercion" in runner.invoke(command.app, ["list", "--open"]).output
    done = runner.invoke(command.app, ["acknowledge", "default", "c1", "--by", "ada"])
    assert (done.exit_code, "acknowledged by ada" in done.output) == (0, True)
    again = runner.invoke(command.app, ["acknowledge", "default", "c1", "--by", "bob"])
    assert "acknowledged by ada" in again.output
    assert "acknowledged" in runner.invoke(command.app, ["list", "--open"]).output
    assert runner.invoke(command.app, ["acknowledge", "default", "other", "--by", "ada"]).exit_code == 1
