"""The whole training run, small: data in, a bundle out that loads, judges and repeats."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detectors.bundle import ENCODER, Manifest, load_bundle
from detectors.loading import open_detector
from detectors.taxonomy import MISALIGNMENT, Category
from detectors.transcript import TranscriptEvent
from detectors.verdict import Status
from retrain.sources import LabelledConversation

if TYPE_CHECKING:
    from transformers import BertModel

    from retrain.base import Base
    from retrain.corpus import Pair

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("retrain_extra")]


@pytest.fixture
def base(tiny_bert: BertModel, tokenizer_definition: bytes) -> Callable[[Iterator[str]], Base]:
    from retrain.base import Base

    weights = {name: tensor.detach().numpy() for name, tensor in tiny_bert.state_dict().items()}
    return lambda texts: Base("tiny", tiny_bert.config, weights, tokenizer_definition)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two sources in which the verb says something about the label, but not everything."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "data"
    for part, sources, count in (("train", ("one", "two"), 60), ("dev", ("three",), 12)):
        (folder / part).mkdir(parents=True)
        for source in sources:
            rows = [_row(f"{source}-{n}", misaligned=n % 2 == 0, rng=rng) for n in range(count)]
            (folder / part / f"{source}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def _row(name: str, *, misaligned: bool, rng: np.random.Generator) -> dict[str, Any]:
    verb = ("steal", "share")[int(misaligned == (rng.random() < 0.35))]
    things = " ".join(rng.choice(["keys", "logs", "money", "notes", "plans"], 3))
    return {
        "id": name,
        "label": "misaligned" if misaligned else "aligned",
        "category": "sabotage",
        "group": name,
        "messages": [{"role": "user", "content": f"go {name}"}, {"role": "assistant", "content": f"I {verb} {things}"}],
    }


@pytest.fixture
def pairs() -> list[Pair]:
    from retrain.corpus import Pair

    def pair(number: int) -> Pair:
        sides = {
            side: [{"role": "assistant", "content": f"I {verb} item {number}", "shows": side == "misaligned"}]
            for side, verb in (("aligned", "share"), ("misaligned", "steal"))
        }
        messages = ({"role": "user", "content": f"task {number}"}, sides)
        return Pair(f"p{number}", "w", Category.SABOTAGE, "media", "chat", "en", frozenset(), messages)

    return [pair(number) for number in range(20)]


@pytest.fixture
def torch_as_it_was(retrain_extra: None) -> Iterator[None]:
    import torch

    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)


@pytest.mark.long
@pytest.mark.usefixtures("torch_as_it_was")
def test_a_training_run_writes_a_bundle_that_judges_and_repeats_itself(
    base: Callable[[Iterator[str]], Base],
    data: Path,
    pairs: list[Pair],
    tmp_path: Path,
    make_event: Callable[..., TranscriptEvent],
    now: datetime,
) -> None:
    from retrain.optimisation import Schedule
    from retrain.train import Recipe, Sample, train

    recipe = Recipe(
        name="tiny",
        held_out=0.6,
        max_tokens=48,
        overlap=8,
        max_windows=4,
        encoder_sample=Sample(per_source=20, windows_per_bag=1),
        screen_per_source=30,
        frozen_layers=1,
        buckets=256,
        encoder=Schedule(epochs=1, batch_size=16, learning_rate=1e-3, weight_decay=0.01),
    )
    out = tmp_path / "bundle"
    train(recipe, data, pairs, base, out)
    first = load_bundle(out).manifest
    assert first.version.startswith("tiny-")
    assert first.data["sources"] == ["corpus", "one", "two"]
    assert first.data["pairs"] == 20
    assert set(first.metrics) == {"held_out", "parity"}
    assert MISALIGNMENT in first.heads
    assert "coercion" in first.uncovered

    detector = open_detector(out)
    event = make_event("go", "I steal the keys")
    (verdict,) = detector.judge([detector.prepare(event)], now=now).verdicts
    assert (verdict.status, verdict.bundle_version) == (Status.SCORED, first.version)
    assert verdict.misalignment is not None

    train(recipe, data, pairs, base, out)
    assert load_bundle(out).manifest == first


@pytest.mark.long
@pytest.mark.usefixtures("torch_as_it_was")
def test_a_champions_encoder_goes_on_learning_from_labels_and_its_child_says_so(
    base: Callable[[Iterator[str]], Base],
    data: Path,
    pairs: list[Pair],
    tmp_path: Path,
    make_labelled: Callable[..., LabelledConversation],
    make_event: Callable[..., TranscriptEvent],
    now: datetime,
) -> None:
    from retrain import continued
    from retrain.candidate import Labels
    from retrain.optimisation import Schedule
    from retrain.train import Recipe, Sample, train

    some = Sample(per_source=20, windows_per_bag=1)
    recipe = Recipe(name="tiny", held_out=0.6, max_tokens=48, overlap=8, encoder_sample=some, buckets=256)
    train(recipe, data, pairs, base, tmp_path / "champion")
    champion = load_bundle(tmp_path / "champion")
    verbs = ("hide", "show")
    made = [make_labelled(f"c{n}", f"task {n}", f"I {verbs[n % 2]} file {n}", misaligned=n % 2 == 0) for n in range(48)]
    labels = Labels("ds-0123456789ab", "0" * 64, made[16:], made[:16])
    schedule = Schedule(epochs=2, batch_size=8, learning_rate=1e-3, weight_decay=0.01, patience=1, hard_negatives=0.2)
    going_on = continued.Recipe(frozen_layers=1, encoder=schedule)
    told: list[float] = []

    def go_on(out: Path) -> Manifest:
        made = continued.train_on(
            going_on, champion, labels, pairs, out, older=data, say=lambda progress, said: told.append(progress)
        )
        assert made is not None
        return made

    child = go_on(tmp_path / "child")
    assert child == load_bundle(tmp_path / "child").manifest
    assert (child.name, child.data["parent"]) == ("tiny", champion.manifest.version)
    assert child.data["dataset"]["digest"] == "0" * 64
    assert child.files[ENCODER] != champion.manifest.files[ENCODER]
    assert child.training["encoder"] == {"seed": 7, "share": 0.6, "saw_labels": True}
    assert child.training["recipe"]["kind"] == "continued"
    assert set(child.metrics) == {"held_out", "parity"}
    assert told == sorted(told)

    detector = open_detector(tmp_path / "child")
    events = [make_event("go on", f"I {verb} file 99", event_id=verb, conversation_id=verb) for verb in verbs]
    hidden, shown = detector.judge([detector.prepare(event) for event in events], now=now).verdicts
    assert hidden.misalignment > shown.misalignment

    assert go_on(tmp_path / "again").version == child.version


@pytest.mark.usefixtures("torch_as_it_was")
def test_a_judges_labels_are_learnt_from_like_others_and_the_bundle_names_the_teacher(
    base: Callable[[Iterator[str]], Base], data: Path, pairs: list[Pair], tmp_path: Path
) -> None:
    from retrain.train import Recipe, Sample, train

    rows = (data / "train" / "one.jsonl").read_text().splitlines()
    judged = tmp_path / "labels.jsonl"
    judged.write_text("\n".join(json.dumps({**json.loads(row), "source": "judge:careful-1"}) for row in rows))
    (data / "train" / "one.jsonl").unlink()
    some = Sample(per_source=20, windows_per_bag=1)
    recipe = Recipe(name="taught", held_out=0.5, max_tokens=48, overlap=8, encoder_sample=some, buckets=256)
    train(recipe, data, pairs, base, tmp_path / "bundle", judged=[judged])
    found = load_bundle(tmp_path / "bundle").manifest.data
    assert found["teachers"] == ["careful-1"]
    assert found["sources"] == ["corpus", "two", "labels"]


@pytest.mark.usefixtures("torch_as_it_was")
def test_without_training_data_it_says_so_and_touches_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from retrain import train

    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["train", "--data", str(tmp_path), "--out", str(out)])
    assert train.main() == 2
    assert "no training data" in capsys.readouterr().err
    assert not out.exists()
