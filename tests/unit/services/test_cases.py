"""Cases: opened once, graver at most, and looked at again only where they got graver."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from detectors.codec import encode_verdict
from detectors.verdict import Arm, Verdict
from services.metrics import RecorderMetrics
from services.recorder import Recorder
from services.records import Record
from services.store import Store

MakeVerdict = Callable[..., Verdict]
HIGH, CRITICAL = ["deception", "misalignment"], ["coercion", "misalignment"]


def test_a_flagged_conversation_is_one_case_however_often_it_is_delivered(
    store: Store, make_verdict: MakeVerdict, now: datetime
) -> None:
    first, second = make_verdict("e1", flagged=HIGH), make_verdict("e2", flagged=HIGH)
    for batch in ([first], [first, second, second], [second]):
        store.record(batch, [], now=now)
    (case,) = store.cases(limit=10)
    assert (case.severity, case.category, case.flagged_verdicts) == ("high", "deception", 2)
    assert (case.opened_at, case.last_verdict_id) == (now, second.verdict_id)


def test_probes_shadows_and_what_is_clear_open_none(store: Store, make_verdict: MakeVerdict, now: datetime) -> None:
    probe = make_verdict("e1", flagged=CRITICAL, synthetic=True)
    store.record([probe, make_verdict("e2", flagged=CRITICAL, arm=Arm.SHADOW), make_verdict("e3")], [], now=now)
    assert store.cases(limit=10) == []
    assert (store.coverage().events, store.coverage().flagged) == (2, 1)


def test_severity_only_rises_and_a_rise_calls_for_a_new_look(
    store: Store, make_verdict: MakeVerdict, now: datetime
) -> None:
    later = now + timedelta(minutes=10)
    store.record([make_verdict("e1", flagged=HIGH)], [], now=now)
    seen = store.acknowledge("default", "c1", by="ada", now=later)
    assert seen is not None
    assert (seen.acknowledged_at, seen.acknowledged_by) == (later, "ada")
    again = store.acknowledge("default", "c1", by="bob", now=later + timedelta(hours=1))
    assert again == seen
    store.record([make_verdict("e2", flagged=HIGH)], [], now=later)
    assert store.cases(limit=10, open_only=True) == []
    store.record([make_verdict("e3", flagged=CRITICAL)], [], now=later)
    (graver,) = store.cases(limit=10, open_only=True)
    assert (graver.severity, graver.category, graver.acknowledged_by) == ("critical", "coercion", None)
    store.record([make_verdict("e4", flagged=HIGH)], [], now=later)
    assert store.cases(limit=10)[0].severity == "critical"


def test_the_gravest_and_oldest_come_first(store: Store, make_verdict: MakeVerdict, now: datetime) -> None:
    for number, flagged in enumerate((HIGH, CRITICAL, CRITICAL)):
        verdict = make_verdict(f"e{number}", conversation_id=f"c{number}", flagged=flagged)
        store.record([verdict], [], now=now - timedelta(minutes=number))
    assert [case.conversation_id for case in store.cases(limit=10)] == ["c2", "c1", "c0"]
    assert store.open_cases() == {
        "critical": (2, now - timedelta(minutes=2)),
        "high": (1, now),
    }


def test_nobody_acknowledges_a_case_that_is_none(store: Store, now: datetime) -> None:
    assert store.acknowledge("default", "?", by="ada", now=now) is None


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
    store.acknowledge("default", "c1", by="ada", now=now + timedelta(seconds=30))
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
    assert "coercion" not in runner.invoke(command.app, ["list", "--open"]).output
    assert runner.invoke(command.app, ["acknowledge", "default", "other", "--by", "ada"]).exit_code == 1
