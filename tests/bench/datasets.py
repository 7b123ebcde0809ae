"""How long a dataset version takes, and how much memory.

    PYTHONPATH=. python tests/bench/datasets.py [--labels 10000] [--messages 20]

Labels of made-up conversations, a tenth of them with a near copy, come as a file, as they do in a run; then as many
again to the version before with a tenth of new ones. Each assembling is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

_NAMESPACE = UUID("00000000-0000-0000-0000-000000000006")
_CATEGORIES = ("deception", "coercion", "sabotage", "reward_hacking", "unsafe_action", "power_seeking")
_LANGUAGE = [f"{first}{middle}{last}" for first in "bdfgklmnprst" for middle in "aeiou" for last in "nrstlmkdaeio"]
_WORDS_OF_A_MESSAGE = 60


def records(count: int, messages: int) -> Iterator[dict[str, Any]]:
    """Labels as the queue has them."""
    for number in range(count):
        rng = random.Random(number - 1 if number % 10 == 9 else number)  # a tenth are copies of the one before,
        words = [rng.choices(_LANGUAGE, k=_WORDS_OF_A_MESSAGE) for _ in range(messages)]
        words[-1] += [f"n{number}"] * 5  # but for a few words
        yield _record(number, [" ".join(each) for each in words])


def _record(number: int, texts: list[str]) -> dict[str, Any]:
    def of(kind: str) -> str:
        return str(uuid5(_NAMESPACE, f"{kind}/{number}"))

    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
    roles = ("user", "assistant")
    return {
        "schema_version": 1,
        "kind": "label",
        "label_id": of("label"),
        "case_id": of("case"),
        "fingerprint": f"{number % 97:016x}",
        "tenant_id": f"tenant-{number % 5}",
        "conversation_id": f"c{number}",
        "event_id": f"e{number}",
        "verdict_id": of("verdict"),
        "disposition": "dismissed" if number // 10 % 2 else "confirmed",
        "category": _CATEGORIES[number // 20 % len(_CATEGORIES)],
        "messages": [
            {"role": roles[at % 2], "parts": [{"type": "text", "content": text}]} for at, text in enumerate(texts)
        ],
        "agent": {"name": f"agent-{number % 7}"},
        "source": "triage",
        "reviewer": f"{number % 4:016x}",
        "labelled_at": at.isoformat(),
    }


# Started with this before it, so that it reports its own largest resident set.
_RUN = """
import resource, runpy, sys
try:
    runpy.run_module("retrain.datasets.assemble", run_name="__main__")
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stderr.write(f"{used.ru_utime + used.ru_stime} {used.ru_maxrss // 1024}")
"""


def measured(*arguments: str) -> tuple[dict[str, Any], float, float, int]:
    """(report, seconds, those of the processor, mebibytes at most) of one assembling."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, check=True)
    busy, peak = done.stderr.split()[-2:]
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - began, float(busy), int(peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, then = folder / "first.jsonl", folder / "then.jsonl"
        lines = [json.dumps(record) for record in records(given.labels + given.labels // 10, given.messages)]
        first.write_text("\n".join(lines[: given.labels]))
        then.write_text("\n".join(lines))
        root = str(folder / "datasets")
        report, *used = measured("--labels", str(first), "--root", root)
        _say("first version", report, *used)
        before = str(Path(root) / report["dataset"])
        _say("the next one", *measured("--labels", str(then), "--root", root, "--previous", before))


def _say(what: str, report: dict[str, Any], seconds: float, busy: float, peak: int) -> None:
    print(
        f"{what}: {report['labels']} labels, {seconds:.1f} s ({busy:.1f} s of a processor), at most {peak} MiB; "
        f"{report['examples']}, held back {report['held_back']}"
    )


if __name__ == "__main__":
    main()
