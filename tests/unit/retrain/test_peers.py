"""Peers' scores: a failure is no score, and numbers are of the better text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from retrain.peers import scan

pytestmark = pytest.mark.usefixtures("scikit_learn")

ROWS = [{"set": "s", "row": n, "misaligned": n % 2 == 0, "said": f"said {n}", "all": f"all {n}"} for n in range(20)]


@pytest.fixture
def reporting(scikit_learn: None) -> ModuleType:
    import retrain.peers.report

    return retrain.peers.report


@pytest.fixture
def clock() -> Iterator[None]:
    import signal

    before = signal.signal(signal.SIGALRM, scan._too_slow)
    yield
    signal.signal(signal.SIGALRM, before)


def scores(open_peer: Callable[[], scan.Scan], rows: list[dict[str, Any]] = ROWS) -> list[dict[str, Any]]:
    return list(scan.scores(rows, "pytest", open_peer))  # any installed package has a version


def knows(text: str) -> float:
    """Right on what is said, blind to all of it."""
    kind, number = text.split()
    return float(kind == "said" and int(number) % 2 == 0)


@pytest.mark.usefixtures("clock")
def test_the_text_that_suits_a_peer_counts(reporting: ModuleType) -> None:
    found = reporting.report(ROWS, scores(lambda: knows), seed=1)
    assert found["pytest"]["failed"] == 0
    assert found["pytest"]["sets"]["s"]["text"] == "said"
    assert found["pytest"]["sets"]["s"]["auroc"]["value"] == 1.0


@pytest.mark.usefixtures("clock")
def test_texts_on_which_a_peer_fails_are_left_out_and_counted(reporting: ModuleType) -> None:
    def fails_on_odd_tens(text: str) -> float:
        if int(text.split()[1]) >= 18:
            raise ValueError(text)
        return knows(text)

    results = scores(lambda: fails_on_odd_tens)
    assert all("score" not in result for result in results if "error" in result)
    assert "said" not in {result.get("error") for result in results}  # the name of an error alone: never what it quotes
    found = reporting.report(ROWS, results, seed=1)["pytest"]
    assert found["failed"] == 4
    assert found["sets"]["s"]["auroc"]["value"] == 1.0


def test_a_peer_that_cannot_be_opened_is_reported_and_not_scored(reporting: ModuleType) -> None:
    def broken() -> scan.Scan:
        raise ImportError("private path")

    found = reporting.report(ROWS, scores(broken), seed=1)["pytest"]
    assert found == {"failed": 0, "sets": {}, "error": "ImportError: cannot be opened"}


@pytest.mark.usefixtures("clock")
def test_a_peer_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SECONDS", 0.05)

    def slow(text: str) -> float:
        try:
            time.sleep(5)
        except Exception:  # as one of them does
            return 0.0
        return 1.0

    assert {result["error"] for result in scores(lambda: slow, ROWS[:1])} == {"TooSlowError"}


@pytest.mark.usefixtures("clock")
def test_a_set_that_was_cut_off_half_way_is_left_out(reporting: ModuleType) -> None:
    results = scores(lambda: knows)
    assert reporting.report(ROWS, results[:-1], seed=1)["pytest"]["sets"]["s"]["text"] == "said"
    assert reporting.report(ROWS, results[:-2], seed=1)["pytest"]["sets"] == {}
