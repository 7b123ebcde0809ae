"""Scores rows with the peers: run by the Python of their own environment, so nothing of Plumbline is imported.

    python scan.py ROWS OUTPUT

A line of the output is `{set, row, peer, text, score, version}` or, where a peer fails, `{..., error}`: a failure is
not a score of zero. Each peer reads both texts of a row. Of a long text it gets the beginning and the end,
`MOST_CHARS` in all: some rules take minutes on all of it.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import json
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

MOST_CHARS = 6_000
SECONDS = 5

Scan = Callable[[str], float]


def _aco_prompt_shield() -> Scan:
    detector = importlib.import_module("shield_mcp.detectors.heuristics").HeuristicDetector()
    return lambda text: float(detector.check(text)[1])


def _aicordon() -> Scan:
    picket = importlib.import_module("aicordon.picket").load()
    return lambda text: float(len(picket.check(text).findings))


def _guardweave() -> Scan:
    """Its heuristics, without a judge. It remembers earlier texts, so each text gets one that has seen nothing."""
    package = importlib.import_module("guardweave")

    def scan(text: str) -> float:
        defender = package.PolicyRiskDefender(package.Policy(prohibited=[]))
        return float(defender.before_generate(text)[2].risk)

    return scan


def _prismguard() -> Scan:
    """Its profile of rules alone, without weights: it blocks or allows, and says no more than that."""
    checker = importlib.import_module("prismguard.runtime.factory").create_checker_for_app("web_chat", use_onnx=False)
    return lambda text: float(checker.check(text).decision != "allow")


def _prompt_lint_py() -> Scan:
    firewall = importlib.import_module("promptlint").Firewall(mode="monitor")
    return lambda text: float(firewall.scan(text).risk_score)


def _promptocyte() -> Scan:
    guard = importlib.import_module("promptocyte").SecurityGuard()
    return lambda text: float(guard.analyze(text)["risk_score"])


def _toolwall_guard() -> Scan:
    detector = importlib.import_module("toolwall.detect").default_detector
    return lambda text: float(detector.score(text)[0])


def _xaidr() -> Scan:
    sensor = importlib.import_module("xaidr").Sensor(agent_id="comparison")
    return lambda text: float(sensor.scan(text).score)


PEERS: dict[str, Callable[[], Scan]] = {
    "aco-prompt-shield": _aco_prompt_shield,
    "aicordon": _aicordon,
    "guardweave": _guardweave,
    "prismguard": _prismguard,
    "prompt-lint-py": _prompt_lint_py,
    "promptocyte": _promptocyte,
    "toolwall-guard": _toolwall_guard,
    "xaidr": _xaidr,
}


def scores(rows: list[dict[str, Any]], peer: str, open_peer: Callable[[], Scan]) -> Iterator[dict[str, Any]]:
    """One result for each row and text."""
    try:
        version, scan = importlib.metadata.version(peer), open_peer()
    except Exception as error:  # whatever goes wrong in a peer is reported
        yield {"peer": peer, "error": f"{type(error).__name__}: cannot be opened"}
        return
    for row in rows:
        for text in ("said", "all"):
            result: dict[str, Any] = {
                "set": row["set"],
                "row": row["row"],
                "peer": peer,
                "text": text,
                "version": version,
            }
            try:
                result["score"] = _within(SECONDS, scan, _shortened(row[text]))
            except (Exception, TooSlowError) as error:
                result["error"] = type(error).__name__
            yield result


def _shortened(text: str) -> str:
    half = MOST_CHARS // 2
    return text if len(text) <= MOST_CHARS else f"{text[:half]}\n{text[-half:]}"


def _within(seconds: int, scan: Scan, text: str) -> float:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # some print what they scan
            return scan(text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class TooSlowError(BaseException):
    """Not an `Exception`: a peer that catches those and answers all the same would hide that it never finished."""


def _too_slow(*_: object) -> None:
    raise TooSlowError


def main() -> int:
    signal.signal(signal.SIGALRM, _too_slow)
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    with open(target, "w", encoding="utf-8") as results:
        for peer, open_peer in PEERS.items():
            for result in scores(rows, peer, open_peer):
                results.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
