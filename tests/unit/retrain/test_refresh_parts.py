"""What the quick path is made of: what is kept, what is said, what is put in place, what is replayed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detectors.bundle import load_bundle
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import LABELS
from detectors.windows import Window, Windower
from retrain.corpus import read_pairs
from retrain.logit_cache import LogitCache
from retrain.progress import JsonLines, within
from retrain.replay import HeldOut, replayed
from retrain.sources import LabelledConversation
from retrain.staging import staged


@pytest.fixture
def windows(make_labelled: Callable[..., LabelledConversation], windower: Windower) -> list[Window]:
    events = [make_labelled(f"{n}", "go", f"I did it {n} times").event for n in range(3)]
    return [window for event in events for window in windower.cut(event.messages).windows]


class Encoder:
    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> np.ndarray:
        self.asked += 1
        return np.full((3, len(LABELS)), self.asked, dtype=np.float32)


def test_the_encoder_is_asked_once_about_the_same_windows(windows: list[Window], tmp_path: Path) -> None:
    encoder = Encoder()
    for _ in range(2):
        found = LogitCache(tmp_path / "new").logits("one", windows, encoder)
        np.testing.assert_array_equal(found, 1)
    LogitCache(tmp_path / "new").logits("other", windows, encoder)
    LogitCache(tmp_path / "new").logits("one", windows[::-1], encoder)
    assert encoder.asked == 3


@pytest.mark.parametrize("spoilt", [b"", b"\x93NUMPY half of it", None])
def test_what_was_kept_and_spoilt_is_computed_again(
    windows: list[Window], tmp_path: Path, spoilt: bytes | None
) -> None:
    encoder = Encoder()
    LogitCache(tmp_path).logits("one", windows, encoder)
    (kept,) = tmp_path.iterdir()
    if spoilt is None:
        np.save(kept, np.full((3, len(LABELS)), np.nan, dtype=np.float32))
    else:
        kept.write_bytes(spoilt)
    np.testing.assert_array_equal(LogitCache(tmp_path).logits("one", windows, encoder), 2)
    np.testing.assert_array_equal(LogitCache(tmp_path).logits("one", windows, encoder), 2)


def test_progress_is_one_object_a_line_and_never_leaves_its_bounds() -> None:
    stream = io.StringIO()
    say = JsonLines(stream)
    say(-1, "begin")
    tell = within(say, 0.2, 0.6, "reading", steps=4)
    for share in np.linspace(0, 1, 101):
        tell(float(share))
    say(2, "end")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["progress"] for line in lines] == pytest.approx([0, 0.3, 0.4, 0.5, 0.6, 1], abs=0.01)
    assert [line["said"] for line in lines] == ["begin", *["reading"] * 4, "end"]


def test_a_folder_takes_the_place_of_the_old_one_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bundle"
    for text in ("one", "two"):
        with staged(out) as folder:
            folder.mkdir()
            (folder / text).write_text(text)
    with pytest.raises(FileExistsError):
        _half(out)
    assert [path.name for path in out.iterdir()] == ["two"]
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]


def _half(out: Path) -> None:
    with staged(out) as folder:
        folder.mkdir()
        (folder / "half").mkdir()
        (folder / "half").mkdir()


def test_what_the_shipped_encoder_never_saw_is_drawn_as_its_own_training_drew_it() -> None:
    manifest = load_bundle(DEFAULT_BUNDLE).manifest
    held_out = HeldOut.of(manifest)
    seen, unseen = replayed(read_pairs("train"), held_out)
    recipe = manifest.training["recipe"]
    assert isinstance(recipe, dict)
    assert (held_out.seed, held_out.share, held_out.saw_labels) == (recipe["seed"], recipe["held_out"], False)
    assert len(seen) + len(unseen) == 2 * len(read_pairs("train"))
    assert not {item.group for item in seen} & {item.group for item in unseen}
    counts = np.sum([item.labels for item in unseen], axis=0)
    assert counts[: LABELS.index("over_refusal")].min() >= 9


def test_a_refreshed_bundle_passes_on_what_its_encoder_has_seen() -> None:
    manifest = load_bundle(DEFAULT_BUNDLE).manifest
    kept = HeldOut(seed=3, share=0.5, saw_labels=True)
    child = manifest.model_copy(update={"training": {"recipe": {"seed": 9}, "encoder": kept.recorded()}})
    assert HeldOut.of(child) == kept
