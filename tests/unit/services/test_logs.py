"""Logs: one JSON object an event, above the level asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.logs import configure_logs, get_logger
from services.settings import load_settings


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    kafka, root = logging.getLogger("kafka"), logging.getLogger()
    level, root_level, handlers = kafka.level, root.level, list(root.handlers)
    yield
    structlog.reset_defaults()
    kafka.setLevel(level)
    root.setLevel(root_level)
    root.handlers[:] = handlers


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_every_event_is_one_json_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(load_settings())
    get_logger("scorer").info("ready", bundle="first-1", place="a\nb\x1b[31m", shares=[0.5])
    get_logger("recorder").warning("retry", step="deliver")
    first, second = logged(capsys)
    assert first["service"] == "scorer"
    assert (first["event"], first["level"], first["place"]) == ("ready", "info", "a\nb\x1b[31m")
    assert first["timestamp"].endswith("Z")
    assert (second["service"], second["level"], second["step"]) == ("recorder", "warning", "deliver")


def test_an_exception_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(load_settings())
    try:
        raise OSError("gone")
    except OSError:
        get_logger("scorer").exception("failed")
    (line,) = logged(capsys)
    assert "OSError: gone" in line["exception"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_is_not_written(
    capsys: pytest.CaptureFixture[str], level: str, expected: list[str]
) -> None:
    configure_logs(load_settings(log_level=level))
    log = get_logger("scorer")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [line["level"] for line in logged(capsys)] == expected


def test_console_lines_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(load_settings(log_format="console"))
    get_logger("scorer").info("ready", bundle="first-1")
    line = capsys.readouterr().err
    assert "ready" in line
    assert not line.startswith("{")
