"""Bad input through real Kafka and a real scorer: each ends as the table says, and the next record is processed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.kafka.local import LocalKafka
from detectors.codec import decode_verdict
from detectors.verdict import Verdict
from services.cli.main import app
from services.dead_letters import DeadLetter, from_record
from services.errors import TooLargeError
from services.kafka import KafkaSink, create_topics, read_topic
from services.process import run_scorer
from services.records import Outgoing
from services.settings import MEBIBYTE, Settings, load_settings
from tests.bad_input import CASES

pytestmark = pytest.mark.integration

PATIENCE = 120.0


class Line:
    """A running scorer that records can be put through, one by one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sink = KafkaSink(settings)
        self._markers = 0

    def send(self, value: bytes) -> None:
        self._sink.deliver([Outgoing(self.settings.topic("transcripts"), b"one key, one partition", value)])

    def send_and_wait(self, value: bytes) -> None:
        """Sends `value` and then a good event; returns when the good one has its verdict."""
        self.send(value)
        self._markers += 1
        marker = f"marker-{self._markers}"
        body = {"event_id": marker, "conversation_id": marker, "occurred_at": datetime.now(UTC).isoformat()}
        self.send(json.dumps({**body, "messages": [{"role": "assistant", "content": "All is well."}]}).encode())
        deadline = time.monotonic() + PATIENCE
        while marker not in {verdict.event_id for verdict in self.verdicts()}:
            assert time.monotonic() < deadline, "the record after the bad one was not processed"
            time.sleep(0.05)

    def verdicts(self) -> list[Verdict]:
        records = read_topic(self.settings, self.settings.topic("verdicts"))
        return [decode_verdict(record.value or b"") for record in records]

    def dead_letters(self) -> list[DeadLetter]:
        return [from_record(record) for record in read_topic(self.settings, self.settings.topic("transcripts.dead"))]

    def close(self) -> None:
        self._sink.close()


@pytest.fixture(scope="module")
def line(kafka: LocalKafka) -> Iterator[Line]:
    settings = load_settings(
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        kafka_session_timeout_seconds=2,
        topic_prefix="bad-input.",
        topic_partitions=1,
        metrics_port=0,
        inference_threads=1,
        max_windows=16,
        dead_letter_limit=1.0,
    )
    create_topics(settings)
    stop = Event()
    scorer = Thread(target=run_scorer, args=(settings, stop), daemon=True)
    scorer.start()
    running = Line(settings)
    yield running
    stop.set()
    scorer.join(60)
    running.close()
    assert not scorer.is_alive()


Outcome = Verdict | DeadLetter


@pytest.fixture(scope="module")
def outcomes(line: Line) -> dict[str, Outcome]:
    """What became of every case, sent one after the other with a good event at the end.

    With one key and one partition, verdicts come in the order of the records that are no dead letters.
    """
    for case in CASES:
        line.send(case.record())
    line.send_and_wait(b"the last one")
    buried = {letter.offset: letter for letter in line.dead_letters()}
    verdicts = iter(line.verdicts())
    return {
        name: buried[offset] if offset in buried else next(verdicts)
        for offset, name in enumerate(case.name for case in CASES)
    }


def test_bad_input_ends_as_the_table_says(line: Line, bad_input: Any, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[bad_input.name]
    if bad_input.outcome == "dead":
        assert isinstance(outcome, DeadLetter)
        assert outcome.code == ("no_value" if bad_input.record() == b"" else bad_input.expected)
        assert outcome.reason
        assert outcome.value == bad_input.record()
        assert outcome.place.startswith(line.settings.topic("transcripts") + ":0:")
    else:
        assert isinstance(outcome, Verdict)
        assert outcome.status.value == bad_input.outcome
        assert bad_input.expected in (outcome.reason or "")


def test_a_duplicate_event_gets_the_same_verdict_id(line: Line) -> None:
    body = {"event_id": "twice", "conversation_id": "twice", "occurred_at": "2026-01-02T03:04:05Z"}
    value = json.dumps({**body, "messages": [{"role": "assistant", "content": "Done."}]}).encode()
    line.send(value)
    line.send_and_wait(value)
    ids = [verdict.verdict_id for verdict in line.verdicts() if verdict.event_id == "twice"]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_events_out_of_order_are_partial_and_say_so(line: Line) -> None:
    for seq in (1, 4, 2):
        body = {"event_id": f"s{seq}", "conversation_id": "ordered", "seq": seq, "occurred_at": "2026-01-02T03:04:05Z"}
        line.send(json.dumps({**body, "messages": [{"role": "assistant", "content": "Next."}]}).encode())
    line.send_and_wait(b"{}")
    reasons = {verdict.event_id: verdict.reason for verdict in line.verdicts() if verdict.conversation_id == "ordered"}
    assert reasons["s1"] is None
    assert "2 event(s) missing" in (reasons["s4"] or "")
    assert "out of order" in (reasons["s2"] or "")


def test_a_record_over_the_limit_is_a_clear_error_at_the_producer(line: Line) -> None:
    with pytest.raises(TooLargeError, match="PLUMBLINE_RECORD_MAX_BYTES"):
        line.send(b"x" * (14 * MEBIBYTE))


def test_a_repaired_dead_letter_can_be_replayed(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = b'{"event_id": "mended", "conversation_id": "m", "occurred_at": "2026-01-02T03:04:05Z", "messages": "?"}'
    line.send_and_wait(broken)
    letter = line.dead_letters()[-1]
    for name in ("kafka_bootstrap_servers", "topic_prefix", "topic_partitions"):
        monkeypatch.setenv(f"PLUMBLINE_{name.upper()}", str(getattr(line.settings, name)))
    cli: Callable[..., object] = CliRunner().invoke

    listed = cli(app, ["dead-letters", "list"])
    assert letter.place in listed.output
    assert "messages" in listed.output
    shown = cli(app, ["dead-letters", "show", letter.place])
    assert shown.stdout_bytes == broken
    still_broken = cli(app, ["dead-letters", "replay", letter.place])
    assert still_broken.exit_code != 0

    repaired = tmp_path / "repaired.json"
    repaired.write_bytes(broken.replace(b'"?"', b'[{"role": "assistant", "content": "Sent."}]'))
    assert cli(app, ["dead-letters", "replay", letter.place, "--value", str(repaired)]).exit_code == 0
    line.send_and_wait(b"{}")
    assert [verdict.status.value for verdict in line.verdicts() if verdict.event_id == "mended"] == ["scored"]
