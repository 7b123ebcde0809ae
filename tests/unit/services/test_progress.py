"""Progress: for a terminal only."""

from __future__ import annotations

import pytest

from services.progress import progress


def test_nothing_is_written_where_nobody_watches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    with progress("scored") as advance:
        advance(3)
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_what_is_counted_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with progress("scored") as advance:
        advance(42)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "scored" in captured.err
    assert "42" in captured.err


def test_an_error_inside_comes_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="gone"), progress("scored"):
        raise OSError("gone")
