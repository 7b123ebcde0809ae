"""What the recorder says about cases, and the command that lists and acknowledges them. See tests/contract for cases."""

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
CRITICAL = ["coercion", "misalignment"]


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
