"""The newcomer's first command, as a newcomer runs it: `plumbline demo --once`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from services.demo.shipped import shipped_transcripts
from tests.quick_bundle import write_quick_bundle
from tests.servers import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.long]


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "services.cli", "demo", "--folder", str(folder), *options]


def test_the_demo_scores_everything_and_shows_the_words(tmp_path: Path) -> None:
    ran = subprocess.run(command(tmp_path / "demo", "--once"), capture_output=True, text=True, timeout=250, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    total = len(shipped_transcripts())
    assert f"{total}/{total} events" in ran.stdout
    assert "coverage 100%" in ran.stdout
    assert "0 dead-lettered" in ran.stdout
    assert "not trained for:" in ran.stdout


def test_the_demo_stays_up_with_metrics_and_ends_when_told(tmp_path: Path) -> None:
    log = tmp_path / "out"
    quick = str(write_quick_bundle(tmp_path / "bundle"))
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PLUMBLINE_BUNDLE": quick}
    with log.open("wb") as out:
        demo = subprocess.Popen(command(tmp_path / "demo"), stdout=out, stderr=out, cwd=ROOT, env=environment)
    try:
        deadline = time.monotonic() + 250
        while "Ctrl-C stops it" not in log.read_text():
            assert demo.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        url = next(word for word in log.read_text().split() if word.endswith("/metrics"))
        metrics = urllib.request.urlopen(url, timeout=10).read().decode()
        scored = [line for line in metrics.splitlines() if line.startswith('plumbline_records_total{outcome="scored"}')]
        assert float(scored[0].split()[-1]) == len(shipped_transcripts())
    finally:
        demo.send_signal(signal.SIGTERM)
    assert demo.wait(60) == 0
