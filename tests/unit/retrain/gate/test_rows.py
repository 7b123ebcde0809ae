"""Rows and slices, a memory that answers for the classifier, and the labels that make targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is missing: install the extra 'retrain'")
pytest.importorskip("scipy", reason="scipy is missing: install the extra 'retrain'")

from detectors.classifier import ClassifierOutput, WindowBatch
from retrain.corpus import read_pairs
from retrain.datasets import Dataset, HeldOut, Part, Policy
from retrain.datasets.assembly import assemble
from retrain.gate.remembering import Memory, Remembering
from retrain.gate.rows import deployed, of_pairs, sheet_of, under_attack
from retrain.gate.sheet import Sheet, Slice
from retrain.gate.targets import new_labels
from retrain.queued import QueuedLabel, parse
from tests.retraining_data import queued

pytestmark = pytest.mark.retrain


def _dataset(count: int, previous: Dataset | None = None, **fields: Any) -> Dataset:
    records = [
        parse(queued(f"{disposition}{n}", disposition=disposition, reviewer=f"{n % 3:016x}", **fields))
        for n in range(count)
        for disposition in ("confirmed", "dismissed")
    ]
    labels = [record for record in records if isinstance(record, QueuedLabel)]
    words = Policy(held_out=0.5, alike=1.0, same=1.0)
    return assemble(labels, previous, words, salt="s", say=lambda share, said: None)


def _held_out(dataset: Dataset) -> list[HeldOut]:
    return [HeldOut(each, each.labelled()) for each in dataset.parts[Part.HELD_OUT]]


def _named(sheet: Sheet, place: int) -> set[str]:
    return {str(name) for name, rows in sheet.members.items() if rows[place]}


def test_a_held_out_conversation_is_in_the_slices_of_its_tenant_agent_and_category() -> None:
    rows = deployed(_held_out(_dataset(12)))
    assert rows
    sheet = sheet_of(rows, np.arange(len(rows)))
    for place, row in enumerate(rows):
        assert row.id.startswith("acme/conversation-")
        names = _named(sheet, place) - {"length:short", "length:middle", "length:long"}
        assert names >= {"all:all", "source:acme", "source:acme/ledger-bot", "source:deployment"}
        assert "category:deception" in names  # a dismissed one counts where it was taken for that
        assert sum(name.startswith("length:") for name in _named(sheet, place)) == 1


def test_what_is_under_attack_counts_in_the_red_team_suite_alone() -> None:
    pairs = read_pairs("test")[:20]
    plain, attacked = of_pairs(pairs), under_attack(pairs, per_attack=2)
    sheet = sheet_of([*plain, *attacked], np.arange(len(plain) + len(attacked)))
    assert {name.split(":")[0] for place in range(len(plain), len(sheet.ids)) for name in _named(sheet, place)} == {
        "red_team"
    }
    assert not any(name.startswith("red_team") for place in range(len(plain)) for name in _named(sheet, place))
    assert set(sheet.groups[len(plain) :]) <= set(sheet.groups[: len(plain)])  # resampled together


def test_an_aligned_twin_counts_in_the_category_of_its_pair() -> None:
    pairs = [pair for pair in read_pairs("test") if pair.category == "sabotage"]
    sheet = sheet_of(of_pairs(pairs), np.zeros(2 * len(pairs), dtype=np.int64))
    assert sheet.members[Slice("category", "sabotage")].all()
    assert sheet.misaligned.sum() == len(pairs)


def test_new_labels_are_those_that_the_champion_did_not_know() -> None:
    first = _dataset(12)
    more = _dataset(30, first)
    alone, beyond = new_labels(more.manifest, None), new_labels(more.manifest, first.manifest)
    deception, tenant = Slice("category", "deception"), Slice("source", "acme")
    known, trained = (len(each.parts[Part.TRAIN]) for each in (first, more))
    assert alone == {deception: trained, tenant: trained}
    assert beyond == {deception: trained - known, tenant: trained - known}
    assert new_labels(more.manifest, more.manifest) == {}


class Counting:
    """A classifier whose logit is the sum of a window's tokens, and that counts the windows that it was asked for."""

    name = "counting"
    version = "1"

    def __init__(self) -> None:
        self.asked = 0

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        self.asked += len(batch)
        logits = (batch.input_ids * batch.attention_mask).sum(axis=1, keepdims=True).astype(np.float32)
        return ClassifierOutput(logits, np.ones((*batch.input_ids.shape, 1), dtype=np.float32))


@pytest.fixture
def batch() -> Callable[..., WindowBatch]:
    def make(*windows: list[int]) -> WindowBatch:
        longest = max(map(len, windows)) + 2
        ids = np.asarray([[*window, *[0] * (longest - len(window))] for window in windows])
        mask = np.asarray([[1] * len(window) + [0] * (longest - len(window)) for window in windows])
        return WindowBatch(ids, mask, mask, np.ones((len(windows), 2), dtype=np.float32))

    return make


def test_each_window_is_read_once(batch: Callable[..., WindowBatch]) -> None:
    counting, memory = Counting(), Memory()
    first, second = Remembering(counting, memory), Remembering(counting, memory)
    assert first.score(batch([1, 2], [3], [1, 2])).logits.tolist() == [[3], [3], [3]]
    assert counting.asked == 2
    found = second.score(batch([3], [4, 4, 4], [1, 2]))  # padded otherwise than before
    assert found.logits.tolist() == [[3], [12], [3]]
    assert found.contributions.shape == (3, 5, 1)
    assert counting.asked == 3


def test_who_speaks_makes_another_window(batch: Callable[..., WindowBatch]) -> None:
    counting = Counting()
    remembering = Remembering(counting, Memory())
    one = batch([1, 2])
    remembering.score(one)
    remembering.score(WindowBatch(one.input_ids, one.attention_mask, 0 * one.agent_mask, one.features))
    remembering.score(WindowBatch(one.input_ids, one.attention_mask, one.agent_mask, 2 * one.features))
    assert counting.asked == 3
