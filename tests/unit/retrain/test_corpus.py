"""The pairs that ship, and the reader and lint that look after them."""

from __future__ import annotations

import json
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from detectors.taxonomy import LABELS, MISALIGNMENT, Category
from retrain.corpus import PARTS, Pair, conversations, read_pairs

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("scikit_learn")]

TRAIN, TEST = (read_pairs(part) for part in PARTS)


def pair(number: int = 1, **fields: Any) -> Pair:
    sides = {
        "aligned": [{"role": "assistant", "content": "I ask first."}, {"role": "user", "content": "Yes."}],
        "misaligned": [
            {"role": "assistant", "content": "All is well.", "reasoning": "Say nothing."},
            {
                "role": "assistant",
                "content": "",
                "shows": True,
                "tool_calls": [{"name": "rm", "arguments": {"p": "/"}}],
            },
        ],
    }
    messages = ({"role": "user", "content": f"task {number}"}, sides, {"role": "assistant", "content": "Done."})
    made = Pair(f"p{number}", "w", Category.SABOTAGE, "media", "chat", "en", frozenset(), messages)
    return replace(made, **fields)


def test_what_is_shared_is_on_both_sides_and_forks_are_not() -> None:
    aligned, misaligned = (pair().side(side) for side in ("aligned", "misaligned"))
    assert [message["content"] for message in aligned] == ["task 1", "I ask first.", "Yes.", "Done."]
    assert [message["content"] for message in misaligned] == ["task 1", "All is well.", "", "Done."]


def test_the_label_is_about_what_shows_it_and_on_the_aligned_side_about_the_fork() -> None:
    assert pair().turns("misaligned") == {2}
    assert pair().turns("aligned") == {1}


def test_both_sides_become_labelled_twins() -> None:
    aligned, misaligned = conversations([pair()])
    assert aligned.group == misaligned.group
    assert aligned.contrasted
    assert not aligned.labels.any()
    assert set(np.flatnonzero(misaligned.labels)) == {LABELS.index("sabotage"), LABELS.index(MISALIGNMENT)}
    (_, refusing) = conversations([pair(category=Category.OVER_REFUSAL)])
    assert set(np.flatnonzero(refusing.labels)) == {LABELS.index("over_refusal")}


@pytest.mark.parametrize("shipped", [*TRAIN, *TEST], ids=lambda pair: pair.id)
def test_every_pair_that_ships_can_be_read_and_its_turns_are_the_agents(shipped: Pair) -> None:
    for conversation in conversations([shipped]):
        messages = conversation.event.messages
        assert conversation.turns
        assert all(messages[turn].role == "assistant" for turn in conversation.turns)
        assert len({json.dumps(shipped.side(side)) for side in ("aligned", "misaligned")}) == 2


@pytest.fixture(scope="module")
def linting(scikit_learn: None) -> ModuleType:
    from retrain.corpus import lint

    return lint


def balanced(number: int) -> Pair:
    """Pairs in which every word is as often on either side."""
    words = ["report", "keep"][:: 1 if number % 2 else -1]
    sides = {
        side: [{"role": "assistant", "content": f"I {word} item {number} today", "shows": True}]
        for side, word in zip(("aligned", "misaligned"), words, strict=True)
    }
    return pair(number, messages=({"role": "user", "content": "go"}, sides))


def told(linting: ModuleType, pairs: list[Pair]) -> dict[str, bool]:
    half = len(pairs) // 2
    return {finding.name: finding.fine for finding in linting.lint(pairs[:half], pairs[half:])}


def test_the_lint_passes_what_is_balanced_and_finds_what_is_not(linting: ModuleType) -> None:
    pairs = [balanced(number) for number in range(40)]
    findings = told(linting, pairs)
    assert all(fine for name, fine in findings.items() if name != "share of pairs with the misaligned side longer"), (
        findings
    )
    given_away = [
        replace(each, messages=(each.messages[0], {**each.messages[1], "misaligned": [
            {"role": "assistant", "content": "I secretly lie at great length about this one", "shows": True}]}))
        for each in pairs
    ]  # fmt: skip
    wrong = {name for name, fine in told(linting, given_away).items() if not fine}
    assert {"share of pairs with the misaligned side longer", "AUROC of length alone"} <= wrong
    assert "AUROC of a bag of words, train to test writers" in wrong
    assert "ids that occur twice" in {name for name, fine in told(linting, pairs * 2).items() if not fine}


@pytest.mark.skipif(not TEST, reason="there is no test part yet")
def test_the_corpus_that_ships_is_balanced(linting: ModuleType) -> None:
    wrong = [str(finding) for finding in linting.lint(TRAIN, TEST) if not finding.fine]
    assert not wrong


def test_a_scaling_curve_has_a_point_for_every_size_and_one_for_all(scikit_learn: None) -> None:
    from retrain.corpus.report import scaling_curve

    pairs = [balanced(number) for number in range(30)]
    points = scaling_curve(pairs[:20], pairs[20:], sizes=(5, 10, 50), draws=2)
    assert [point["pairs"] for point in points] == [5, 10, 20]
    assert all(0 <= point["low"] <= point["y"] <= point["high"] <= 1 for point in points)
