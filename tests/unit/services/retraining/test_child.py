"""Children: what they say is heard, what they must not know they do not, and none is left behind."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from services.retraining.child import Ending, Watch, watched
from services.retraining.errors import Interrupted, StageFailed

LONG = timedelta(minutes=1)


def shell(script: str, log: Path, *, limit: timedelta = LONG, beats: int = 10**6) -> tuple[Ending, list[object]]:
    heard: list[object] = []
    left = iter(range(beats))
    watch = Watch(limit, lambda: next(left, None) is not None, lambda share, said: heard.append((share, said)))
    return watched(["sh", "-c", script], log, watch), heard


def test_what_a_child_says_is_heard_and_everything_else_is_kept(tmp_path: Path) -> None:
    lines = ('{"progress": 0.25, "said": "a"}', "some words", '{"progress": 7}', "{oh", '{"x": 1}')
    said = "; ".join(f"echo '{line}'" for line in lines)
    ending, heard = shell(said, tmp_path / "log")
    assert ending == Ending(refused=False, facts={"x": 1})
    assert heard == [(0.25, "a"), (1.0, "")]
    assert "some words" in (tmp_path / "log").read_text()
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_words_of_an_earlier_child_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    shell("""echo '{"dataset": "ds-1"}'""", tmp_path / "log")
    assert shell("true", tmp_path / "log") == (Ending(refused=False), [])


def test_a_refusal_is_no_failure(tmp_path: Path) -> None:
    ending, _ = shell("""echo '{"said": "worse"}'; exit 3""", tmp_path / "log")
    assert ending == Ending(refused=True, facts={"said": "worse"})


@pytest.mark.parametrize(("script", "said"), [("exit 4", "exit status 4"), ("kill -9 $$", "killed by signal 9")])
def test_how_a_child_failed_is_told(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(StageFailed, match=said):
        shell(script, tmp_path / "log")


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="took longer than"):
        shell(f"echo $$ > {tmp_path}/pid; sleep 600", tmp_path / "log", limit=timedelta(seconds=0.2))


def test_a_child_that_may_not_go_on_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(Interrupted):
        shell(f"echo $$ > {pid}; exec sleep 600", tmp_path / "log", beats=5)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_child_sees_none_of_our_settings_and_works_below_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLUMBLINE_DATABASE_URL", "postgresql://u:secret@db/x")
    monkeypatch.setenv("UNRELATED", "kept")
    script = "import os, json; print(json.dumps({**os.environ, 'nice': os.nice(0)}))"
    watch = Watch(LONG, lambda: True, lambda *_: None)
    facts = watched([sys.executable, "-c", script], tmp_path / "log", watch).facts
    assert [name for name in facts if name.startswith("PLUMBLINE_")] == []
    assert (facts["UNRELATED"], facts["nice"]) == ("kept", min(19, os.nice(0) + 10))
    assert json.dumps(facts).find("secret") == -1
