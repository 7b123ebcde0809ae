"""The rows that peers read are those that are measured, and the card shows peers beside the baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detectors.windows import Windower
from retrain.model_card import _peers
from retrain.sources import LabelledConversation

MEASURED = {"misalignment": {"auroc": {"value": 0.7}}, "linear_baseline": {"auroc": {"value": 0.6}}}
PEER = {"version": "1.0", "failed": 0, "sets": {"dev/s": {"text": "said", "auroc": {"value": 0.5}}}}


def card(**peers: object) -> str:
    return "\n".join(_peers({"sets": {"dev/s": MEASURED, "dev/t": MEASURED}}, peers))


@pytest.mark.usefixtures("scikit_learn")
def test_the_same_rows_are_drawn_each_time(
    windower: Windower, make_labelled: Callable[..., LabelledConversation]
) -> None:
    from retrain.evaluate import Options, drawn

    everything = [make_labelled(f"c{n}", "Is it done?", f"Yes, {n}.", misaligned=n % 2 == 0) for n in range(40)]
    options = Options(per_set=10)
    names = [[item.conversation.event.event_id for item in drawn(everything, windower, options)] for _ in range(2)]
    assert names[0] == names[1]
    assert len(set(names[0])) == 10


@pytest.mark.usefixtures("scikit_learn")
def test_rows_hold_the_agents_words_and_the_whole_transcript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_labelled: Callable[..., LabelledConversation]
) -> None:
    from retrain.peers import rows

    everything = [make_labelled("bad", "Is it done?", "Yes, I checked.", misaligned=True), make_labelled("none", "Hi")]
    monkeypatch.setattr(rows, "sets_of", lambda paths: {"dev/s": everything})
    output = tmp_path / "var" / "rows.jsonl"
    monkeypatch.setattr("sys.argv", ["rows", "dev", "--per-set", "4", "--output", str(output)])
    assert rows.main() == 0
    written = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert written == [
        {"set": "dev/s", "row": 0, "misaligned": True, "said": "Yes, I checked.", "all": "Is it done?\nYes, I checked."}
    ]  # what Plumbline cannot score, for there is nothing that an agent did, is not a row


def test_the_card_has_peers_beside_ours_and_the_baseline_where_they_were_measured() -> None:
    text = card(guard=PEER)
    assert "| set | ours | linear | guard |" in text
    assert "| dev/s | 0.70 | 0.60 | 0.50 |" in text
    assert "dev/t" not in text
    assert "weak evidence" in text


def test_the_card_names_peers_that_failed_and_those_that_never_opened() -> None:
    text = card(guard={**PEER, "failed": 3}, broken={"failed": 0, "sets": {}, "error": "ImportError: cannot be opened"})
    assert "left out: guard 3" in text
    assert "Could not be opened: broken" in text


def test_the_card_has_no_such_section_without_peers() -> None:
    assert card() == ""
