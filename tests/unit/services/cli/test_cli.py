"""The command line: help for everything, one line that says what to do, and exit codes to rely on."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from detectors.codec import decode_verdict
from detectors.verdict import Verdict
from services.cli import main
from services.cli.main import app
from services.demo.shipped import shipped_files
from services.store import Store

MakeVerdict = Callable[..., Verdict]


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Of the whole program, errors included, which `CliRunner` would hand on as exceptions."""
    monkeypatch.setattr(sys, "argv", ["plumbline", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


ALL_COMMANDS = list(commands(typer.main.get_command(app)))


def test_the_commands_are_all_there() -> None:
    assert {path[-1] for path in ALL_COMMANDS if path} == {
        "triage", "erase", "audit", "verify", "demo", "score-stream", "record",
        "broker", "replay", "score", "verdicts", "doctor", "settings",
        "dead-letters", "list", "show", "topics", "create", "evaluate", "judge", "adapt", "thresholds", "export",
        "correlate", "probe", "cases", "acknowledge", "grafana", "push", "annotate",
        "retrain", "serve", "now", "status",
        "rollout", "start", "promote", "roll-back", "pause", "resume", "history", "registry", "publish", "make-key",
        "accounts", "access", "disable", "enable", "password", "token", "revoke",
    }  # fmt: skip


@pytest.mark.parametrize("path", ALL_COMMANDS, ids=lambda path: " ".join(path) or "plumbline")
def test_every_command_says_in_a_sentence_what_it_does(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}, prog_name="plumbline")
    assert result.exit_code == 0
    told = result.stdout.split("Usage:", 1)[1].split("\n", 1)[1].split("╭", 1)[0].strip()
    assert told[:1].isupper()
    assert "." in told


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    """How the transcripts of one shipped file begin: scoring all of it takes its time."""
    rows = [json.loads(line) for line in shipped_files()[0].read_bytes().splitlines()]
    path = tmp_path / "shipped.jsonl"
    path.write_text("\n".join(json.dumps({**row, "messages": row["messages"][2:6]}) for row in rows))
    return path


def readable_parts(message: dict[str, Any]) -> list[str]:
    """The parts of a message in the plain form, straight from its JSON: reasoning, then text, then tool calls."""
    texts = [message[field] for field in ("reasoning", "content") if message.get(field)]
    calls = [call["arguments"] for call in message.get("tool_calls", ())]
    return texts + [call if isinstance(call, str) else json.dumps(call, ensure_ascii=False) for call in calls]


def test_score_prints_a_verdict_a_line_whose_evidence_is_whole_words_of_the_original(excerpt: Path) -> None:
    result = CliRunner().invoke(app, ["score", str(excerpt)])
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    rows = [json.loads(line) for line in excerpt.read_bytes().splitlines()]
    assert [json.loads(line)["conversation_id"] for line in lines] == [row["id"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert decode_verdict(line.encode()).status == "scored"
        evidence = json.loads(line)["evidence"]
        assert evidence
        for item in evidence:
            text = readable_parts(row["messages"][item["message_index"]])[item["part_index"]]
            start, end = item["start"], item["end"]
            assert 0 <= start < end <= len(text)
            assert text[start:end].strip() == text[start:end]
            for before, after in ((start - 1, start), (end - 1, end)):  # no word is cut in two
                cut = before >= 0 and after < len(text) and is_word(text[before]) and is_word(text[after])
                assert not cut, text[start:end]


def is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def test_score_names_a_bad_line_without_its_content_and_scores_the_others(tmp_path: Path) -> None:
    good = json.dumps({"id": "good", "messages": [{"role": "assistant", "content": "done"}]})
    path = tmp_path / "mixed.jsonl"
    path.write_text(f'{good}\n{{"classified": tru\n{{"id": "classified"}}\n{good}\n')
    result = CliRunner().invoke(app, ["score", str(path)])
    assert result.exit_code == 1
    assert [json.loads(line)["conversation_id"] for line in result.stdout.splitlines()] == ["good", "good"]
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [f"{path}:2", f"{path}:3"]
    assert "classified" not in result.output


def test_score_reads_standard_input_and_writes_to_a_file(tmp_path: Path) -> None:
    line = json.dumps([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}])
    output = tmp_path / "verdicts.jsonl"
    result = CliRunner().invoke(app, ["score", "-", "--output", str(output)], input=line)
    assert (result.exit_code, result.output) == (0, "")
    assert decode_verdict(output.read_bytes()).status == "scored"


def test_a_file_that_is_not_there_fails_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert exit_code(monkeypatch, "score", str(tmp_path / "none.jsonl")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("plumbline: ")
    assert "none.jsonl" in line


def test_a_bundle_that_is_none_fails_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, excerpt: Path
) -> None:
    monkeypatch.setenv("PLUMBLINE_BUNDLE", str(tmp_path))
    assert exit_code(monkeypatch, "score", str(excerpt)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{tmp_path} is not a bundle" in captured.err


def test_a_bundle_of_another_version_than_was_pinned_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], excerpt: Path
) -> None:
    monkeypatch.setenv("PLUMBLINE_BUNDLE_VERSION", "first-000000000000")
    assert exit_code(monkeypatch, "score", str(excerpt)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "first-000000000000" in captured.err


@pytest.mark.parametrize(
    ("variable", "value", "command"),
    [
        ("PLUMBLINE_METRICS_PORT", "many", "doctor"),
        ("PLUMBLINE_AUDIT_SHARE", "2", "score"),
        ("PLUMBLINE_DATABASE_URL", "mysql://plumbline:hunter2@db/x", "verdicts"),
        ("PLUMBLINE_KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "settings"),
    ],
)
def test_settings_that_make_no_sense_exit_2_and_are_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variable: str,
    value: str,
    command: str,
    excerpt: Path,
) -> None:
    monkeypatch.setenv(variable, value)
    assert exit_code(monkeypatch, command, *([str(excerpt)] if command == "score" else [])) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert variable.removesuffix("_SECURITY_PROTOCOL") in captured.err
    assert "hunter2" not in captured.err
    assert all(line.startswith("plumbline: ") for line in captured.err.splitlines())


@pytest.mark.parametrize("arguments", [["score"], ["score", "--colour", "x"], ["scroe"], ["verdicts", "--limit", "0"]])
def test_arguments_that_make_no_sense_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert exit_code(monkeypatch, *arguments) == 2
    assert "Usage" in capsys.readouterr().err


def test_the_program_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLUMBLINE_LOG_LEVEL", "loud")
    program = [sys.executable, "-m", "services.cli", "settings"]
    ended = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("plumbline: PLUMBLINE_LOG_LEVEL: ")


def test_verdicts_of_a_database_without_schema_say_what_makes_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", f"sqlite:///{tmp_path}/new.db")
    assert exit_code(monkeypatch, "verdicts") == 1
    assert "plumbline record" in capsys.readouterr().err


def test_verdicts_of_an_empty_database_are_none(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", database_url)
    result = CliRunner().invoke(app, ["verdicts"])
    assert result.exit_code == 0
    assert "0 events" in result.stdout
    result = CliRunner().invoke(app, ["verdicts", "--json"])
    assert (result.exit_code, result.output) == (0, "")


def test_verdicts_are_shown_as_json_or_with_the_words_of_a_transcript(
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    store: Store,
    make_verdict: MakeVerdict,
    now: datetime,
    tmp_path: Path,
) -> None:
    transcript = tmp_path / "c1.jsonl"
    transcript.write_text(json.dumps({"id": "c1", "messages": [{"role": "assistant", "content": "pay or I tell"}]}))
    scored = CliRunner().invoke(app, ["score", str(transcript)])
    found = json.loads(scored.stdout)
    place = {**found["evidence"][0], "start": 7, "end": 13, "category": "coercion"}
    flagged = make_verdict(found["event_id"], flagged=["coercion"], scores={"coercion": 0.75}, evidence=[place])
    shadow = make_verdict("e9", conversation_id="c9", arm="shadow", flagged=["sabotage"])
    store.record([flagged, make_verdict("other", conversation_id="c2"), shadow], [], now=now)

    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", database_url)
    as_json = CliRunner().invoke(app, ["verdicts", "--json", "--flagged"])
    assert [decode_verdict(line.encode()) for line in as_json.stdout.splitlines()] == [flagged]
    table = CliRunner().invoke(app, ["verdicts", "--flagged", "--transcripts", str(transcript)])
    assert "pay or »I tell«" in table.stdout
    assert "2 events: 2 scored, 0 dead-lettered; 1 flagged" in table.stdout
    other = CliRunner().invoke(app, ["verdicts", "--json", "--conversation", "c2"])
    assert [json.loads(line)["event_id"] for line in other.stdout.splitlines()] == ["other"]
    on_trial = CliRunner().invoke(app, ["verdicts", "--json", "--arm", "shadow"])
    assert [decode_verdict(line.encode()) for line in on_trial.stdout.splitlines()] == [shadow]


def test_an_error_that_nobody_foresaw_is_told_without_its_text(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    database_url: str,
    store: Store,
    make_verdict: MakeVerdict,
    now: datetime,
) -> None:
    store.record([make_verdict()], [], now=now)
    connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
    with connection:
        connection.execute("UPDATE verdicts SET status = 'classified'")
    connection.close()
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", database_url)
    assert exit_code(monkeypatch, "verdicts") == 70
    captured = capsys.readouterr()
    assert "classified" not in captured.out + captured.err
    assert "unexpected ValidationError at " in captured.err


@pytest.mark.long
def test_doctor_with_nothing_there_says_what_to_set_for_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        broker = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("PLUMBLINE_BUNDLE", str(tmp_path))
        monkeypatch.setenv("PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS", broker)
        monkeypatch.setenv("PLUMBLINE_DATABASE_URL", f"postgresql://plumbline:hunter2@{broker}/plumbline")
        result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    bundle, topics, database = result.stdout.splitlines()
    assert bundle.startswith("FAIL  bundle and provider: ")
    assert str(tmp_path) in bundle
    assert "PLUMBLINE_BUNDLE" in bundle
    assert topics.startswith("FAIL  broker and topics: ")
    assert "PLUMBLINE_KAFKA_BOOTSTRAP_SERVERS" in topics
    assert broker in topics
    assert database.startswith("FAIL  database: ")
    assert "PLUMBLINE_DATABASE_URL" in database
    assert "hunter2" not in result.output
