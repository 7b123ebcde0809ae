"""The comparison of base networks: what learns from what, and that one which knows is told from one which does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from retrain.sources import LabelledConversation

MakeLabelled = Callable[..., LabelledConversation]
pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]


@pytest.fixture
def comparison(retrain_extra: None) -> ModuleType:
    import retrain.backbone_comparison

    return retrain.backbone_comparison


@pytest.fixture
def sets(comparison: ModuleType, make_labelled: MakeLabelled) -> Any:
    """The verb tells, in all of them."""

    def one(name: str, *, misaligned: bool, **more: Any) -> LabelledConversation:
        said = f"I {'steal' if misaligned else 'share'} the item {name}"
        return make_labelled(name, "go", said, misaligned=misaligned, **more)

    def twins(prefix: str, count: int) -> list[LabelledConversation]:
        return [
            replace(one(f"{prefix}{n}-{side}", misaligned=side, group=f"{prefix}{n}"), contrasted=True)
            for n in range(count)
            for side in (True, False)
        ]

    def source(name: str, *labels: bool) -> list[LabelledConversation]:
        return [one(f"{name}{n}", misaligned=label, source=name) for n, label in enumerate(labels)]

    return comparison.Sets(
        pairs=twins("p", 30),
        test_pairs=twins("t", 10),
        sources={"both": source("both", *[True, False] * 10), "one": source("one", *[False] * 10)},
        dev={"dev": source("dev", *[True, False] * 10)},
    )


def states_that_know(sets: Any) -> np.ndarray:
    """[conversations, depths, hidden]: depth 1 knows the label, the others are noise."""
    rng = np.random.default_rng(1)
    states = rng.normal(size=(len(sets.all()), 3, 4)).astype(np.float32)
    states[:, 1, 0] += [8.0 * item.misaligned for item in sets.all()]
    return states


def test_a_network_that_knows_is_told_from_one_that_does_not(
    comparison: ModuleType, sets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = states_that_know(sets)
    monkeypatch.setattr(comparison, "embed", lambda backbone, some: states)
    opened = iter([lambda: comparison.Backbone("knows", None, lambda text: [1])])
    result = comparison.compare(sets, opened, lambda line: None)
    found = result["knows"]
    assert found["depth"] == "three_quarters"  # chosen by the sources that were left out
    assert found["left_out"] == {"both": 1.0}  # a source with one label cannot be ranked
    assert found["pairs_ranked_right"] == 1.0
    assert found["pairs_ranked_right_other_languages"] is None
    assert list(found["by_pairs"]) == ["25", "30"]
    assert list(found["by_sources"]) == ["0", "2"]
    assert result["linear"]["dev"]["dev"] == 1.0
    assert "| knows | 1.0 |" in comparison.table(result)
    assert "| knows, sources known | 1.0 |" in comparison.table(result)
    assert comparison.compare(sets, [], lambda line: None, known=result) == result  # nothing is measured twice


def test_told_the_sources_a_probe_learns_what_tells_their_sides_apart(comparison: ModuleType) -> None:
    """Column 0 recognises two sources of one label each; column 1 tells the sides of a third apart."""
    rng, many = np.random.default_rng(1), 2000
    both = np.arange(many) % 2 == 0
    sources = np.repeat(["dark", "bright", "both", "elsewhere"], many).tolist()
    truth = np.concatenate([np.ones(many, dtype=bool), np.zeros(many, dtype=bool), both, both])
    states = rng.normal(size=(4 * many, 2)).astype(np.float32)
    states[: 2 * many, 0] += np.where(truth[: 2 * many], 4, -4)
    states[2 * many :, 1] += 2 * truth[2 * many :]
    states[3 * many :, 0] *= 4  # elsewhere it tells nothing, loudly
    known, unknown = range(3 * many), range(3 * many, 4 * many)
    untold, told = (
        comparison.auroc(comparison.probe(states, truth, names)(known)(unknown), both) for names in (None, sources)
    )
    assert untold < 0.7
    assert told > untold + 0.1


def test_what_was_left_out_had_no_part_in_training(comparison: ModuleType, sets: Any) -> None:
    places = comparison.Places.of(sets)
    trained_on: list[set[int]] = []
    asked: list[set[int]] = []

    def train(rows: list[int]) -> Any:
        trained_on.append(set(rows))

        def score(others: list[int]) -> np.ndarray:
            asked.append(set(others))
            return np.arange(len(others), dtype=float)

        return score

    comparison.leave_one_source_out(train, places)
    assert not trained_on[0] & set(places.sources["both"])
    held = set(places.test_pairs) | set(places.dev["dev"])
    assert not any(rows & held for rows in trained_on)
    assert asked[0] == set(places.sources["both"])


def test_chunks_are_the_beginning_and_the_end(comparison: ModuleType, make_labelled: MakeLabelled) -> None:
    long = make_labelled("long", "go", "begin " + "word " * 3000 + " end")
    cut = comparison.chunks(long)
    assert len(cut) == comparison.CHUNKS
    assert cut[0].startswith("begin")
    assert cut[-1].endswith("end")
    assert comparison.chunks(make_labelled("silent", "go")) == [""]


def test_states_do_not_depend_on_what_else_is_in_the_batch(comparison: ModuleType, tiny_bert: Any) -> None:
    backbone = comparison.Backbone("tiny", tiny_bert.eval(), lambda text: [100 + ord(letter) for letter in text])
    alone, together = backbone.states(["abc"]), backbone.states(["a much longer text", "abc", "b"])
    assert alone.shape == (1, 3, 48)
    np.testing.assert_allclose(together[1], alone[0], atol=1e-5)
