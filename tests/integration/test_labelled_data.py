"""Scoring labelled transcripts of other people's making, where a folder of them is at hand; skipped elsewhere.

The folder is `PLUMBLINE_TEST_DATA`, by default the one that `make train` uses.
"""

from __future__ import annotations

import gzip
import json
import os
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from tests.servers import ROOT

pytestmark = pytest.mark.integration

DATA = Path(os.environ.get("PLUMBLINE_TEST_DATA", ROOT / ".." / "shared" / "data"))
FILES = sorted((DATA / "dev").glob("*.jsonl.gz"))
LINES = 8


def texts(message: dict[str, Any]) -> list[str]:
    """What a message's parts read, worked out from the raw line: reasoning, content, tool arguments."""
    found = [message.get("reasoning") or "", message.get("content") or ""]
    found += [json.dumps(call["arguments"], ensure_ascii=False) for call in message.get("tool_calls") or []]
    return [text for text in found if text]


@pytest.mark.skipif(not FILES, reason=f"no labelled transcripts at {DATA}; name a folder with PLUMBLINE_TEST_DATA")
def test_every_line_gets_a_verdict_whose_evidence_selects_characters_of_the_original(tmp_path: Path) -> None:
    rows: dict[str, dict[str, Any]] = {}
    sample = tmp_path / "sample.jsonl"
    with sample.open("wb") as out:
        for path in FILES:
            with gzip.open(path, "rb") as lines:
                for line in islice(lines, LINES):
                    row = json.loads(line)
                    rows[row["id"]] = row
                    out.write(line)
    ran = CliRunner().invoke(app, ["score", str(sample), "--output", "-"], env={"PLUMBLINE_MAX_WINDOWS": "8"})
    assert ran.exit_code == 0, ran.stderr
    verdicts = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [verdict["conversation_id"] for verdict in verdicts] == list(rows)
    for verdict in verdicts:
        if verdict["status"] == "unscored":
            messages = rows[verdict["conversation_id"]]["messages"]
            assert verdict["reason"] == "the agent says and does nothing in it"
            assert not any(text.strip() for each in messages if each["role"] == "assistant" for text in texts(each))
            continue
        assert verdict["evidence"]
        for item in verdict["evidence"]:
            message = rows[verdict["conversation_id"]]["messages"][item["message_index"]]
            text = texts(message)[item["part_index"]]
            assert 0 <= item["start"] < item["end"] <= len(text)
            assert text[item["start"] : item["end"]].strip()
