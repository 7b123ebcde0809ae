from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from detectors.bundle import ENCODER, MANIFEST, SCREEN, TOKENIZER, Bundle, load_bundle, write_bundle
from detectors.errors import BundleError
from detectors.loading import DEFAULT_BUNDLE, open_detector
from detectors.taxonomy import LABELS, MISALIGNMENT

FILES = {TOKENIZER: b'{"tokenizer": 1}', SCREEN: b"screen bytes", ENCODER: bytes(range(40)), "NOTES.txt": b""}


@pytest.fixture(scope="session")
def new_bundle(tmp_path_factory: pytest.TempPathFactory, description: dict[str, Any]) -> Callable[..., Path]:
    """Writes a small valid bundle to a folder of its own."""

    def make(**changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("bundles") / "bundle"
        write_bundle(folder, FILES, **{**description, **changes})
        return folder

    return make


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / MANIFEST).read_bytes())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=3), st.floats(-1e300, 1e300))
def test_what_is_written_loads_the_same(
    new_bundle: Callable[..., Path], metrics: dict[str, Any], pass_logit: float
) -> None:
    bundle = load_bundle(new_bundle(metrics=metrics, pass_logit=pass_logit))
    assert bundle.files == FILES
    assert bundle.manifest.metrics == metrics
    assert bundle.manifest.pass_logit == pass_logit


def test_the_version_is_the_name_and_a_digest_of_everything(new_bundle: Callable[..., Path]) -> None:
    folders = [new_bundle(), new_bundle(), new_bundle(metrics={}), new_bundle(thresholds={MISALIGNMENT: 0.6})]
    versions = [load_bundle(folder).manifest.version for folder in folders]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert all(version.startswith("tiny-") for version in versions)


def test_a_bundle_is_never_written_over_another(new_bundle: Callable[..., Path], description: dict[str, Any]) -> None:
    folder = new_bundle()
    with pytest.raises(FileExistsError):
        write_bundle(folder, FILES, **description)


@given(st.sampled_from(sorted([*FILES, MANIFEST])), st.integers(0), st.integers(1, 255))
def test_a_flipped_byte_is_refused_or_means_nothing(
    new_bundle: Callable[..., Path], name: str, place: int, mask: int
) -> None:
    folder = new_bundle()
    good = load_bundle(folder)
    data = bytearray((folder / name).read_bytes() or b"\0")
    data[place % len(data)] ^= mask
    (folder / name).write_bytes(data)
    assert _loaded(folder) in (None, good)
    if name != MANIFEST:
        assert _loaded(folder) is None


def _loaded(folder: Path) -> Bundle | None:
    try:
        return load_bundle(folder)
    except BundleError:
        return None


@given(st.sampled_from(sorted([*FILES, MANIFEST])), st.floats(0, 1, exclude_max=True), st.binary(max_size=3))
def test_a_cut_or_lengthened_file_is_refused(
    new_bundle: Callable[..., Path], name: str, share: float, extra: bytes
) -> None:
    folder = new_bundle()
    data = (folder / name).read_bytes()
    changed = data.rstrip()[: int(share * len(data.rstrip()))] if data else b"x" + extra
    (folder / name).write_bytes(changed)
    with pytest.raises(BundleError):
        load_bundle(folder)
    (folder / name).write_bytes(data + b"x" + extra)
    with pytest.raises(BundleError):
        load_bundle(folder)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_deleted_file_is_refused(new_bundle: Callable[..., Path], name: str) -> None:
    folder = new_bundle()
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


def test_an_added_file_is_refused(new_bundle: Callable[..., Path]) -> None:
    folder = new_bundle()
    (folder / "extra.py").write_bytes(b"")
    with pytest.raises(BundleError, match=r"extra\.py"):
        load_bundle(folder)


def test_an_added_folder_is_refused(new_bundle: Callable[..., Path]) -> None:
    folder = new_bundle()
    (folder / "extra").mkdir()
    with pytest.raises(BundleError, match="extra"):
        load_bundle(folder)


def test_a_link_to_the_very_same_content_is_refused(new_bundle: Callable[..., Path]) -> None:
    folder = new_bundle()
    (folder / SCREEN).rename(folder.parent / SCREEN)
    (folder / SCREEN).symlink_to(folder.parent / SCREEN)
    with pytest.raises(BundleError, match="not a plain file"):
        load_bundle(folder)


def test_a_folder_in_place_of_a_file_is_refused(new_bundle: Callable[..., Path]) -> None:
    folder = new_bundle()
    (folder / "NOTES.txt").unlink()
    (folder / "NOTES.txt").mkdir()
    with pytest.raises(BundleError, match="not a plain file"):
        load_bundle(folder)


def numbers(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, (*place, index))
    elif isinstance(value, (int, float)):
        yield place


def test_no_number_of_the_manifest_can_be_changed(new_bundle: Callable[..., Path]) -> None:
    folder = new_bundle()
    original = (folder / MANIFEST).read_bytes()
    places = list(numbers(json.loads(original)))
    assert ("thresholds", MISALIGNMENT) in places
    assert ("metrics", "recall", "low") in places
    for place in places:
        manifest = json.loads(original)
        container = manifest
        for step in place[:-1]:
            container = container[step]
        container[place[-1]] += 0.125 if isinstance(container[place[-1]], float) else 1
        (folder / MANIFEST).write_text(json.dumps(manifest))
        with pytest.raises(BundleError):
            load_bundle(folder)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "a/b", "..", ".", "", "manifest.json", "sub/../screen.onnx", "a\0b"]
)
def test_names_that_lead_elsewhere_are_refused(new_bundle: Callable[..., Path], name: str) -> None:
    folder = new_bundle()
    edit(folder, lambda manifest: manifest["files"].update({name: {"sha256": "0" * 64, "bytes": 0}}))
    with pytest.raises(BundleError):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/b", "manifest.json"])
def test_names_that_lead_elsewhere_are_not_written(tmp_path: Path, description: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError, match="plain file names"):
        write_bundle(tmp_path / "bundle", {**FILES, name: b"x"}, **description)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"labels": LABELS[:-1]}, "taxonomy"),
        ({"labels": LABELS[::-1]}, "taxonomy"),
        ({"features": ("length",)}, "features"),
        ({"format": 1}, "format"),
        ({"overlap": 30}, "overlap"),
        ({"max_tokens": 8}, "max_tokens"),
        ({"thresholds": {}}, "thresholds"),
        ({"thresholds": {MISALIGNMENT: 1.5}}, "thresholds"),
        ({"heads": {}, "thresholds": {}}, "misalignment missing"),
        ({"pass_logit": float("nan")}, "pass_logit"),
        ({"metrics": {"recall": float("nan")}}, "metrics"),
        ({"name": "../up"}, "name"),
    ],
)
def test_a_manifest_for_another_version_or_of_nonsense_is_refused(
    new_bundle: Callable[..., Path], description: dict[str, Any], tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        write_bundle(tmp_path / "bundle", FILES, **{**description, **changes})
    folder = new_bundle()
    edit(folder, lambda manifest: manifest.update(changes))
    with pytest.raises(BundleError):
        load_bundle(folder)


def test_required_files_must_be_there(tmp_path: Path, description: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"encoder\.onnx"):
        write_bundle(tmp_path / "bundle", {TOKENIZER: b"", SCREEN: b""}, **description)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 10_000, b"not JSON"])
def test_a_manifest_that_cannot_be_read_is_refused(new_bundle: Callable[..., Path], content: bytes) -> None:
    folder = new_bundle()
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError):
        load_bundle(folder)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(BundleError, match="is not a bundle"):
            load_bundle(path)


def test_a_folder_may_be_reached_by_a_link(new_bundle: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(new_bundle())
    assert load_bundle(tmp_path / "current").files == FILES


def test_a_verified_bundle_that_cannot_be_used_is_refused_when_it_is_opened(new_bundle: Callable[..., Path]) -> None:
    with pytest.raises(BundleError, match="tokenizer"):
        open_detector(new_bundle())


@pytest.mark.parametrize("place", [(), ("files", SCREEN), ("heads", MISALIGNMENT)])
def test_a_field_added_to_the_manifest_is_refused_or_means_nothing(
    new_bundle: Callable[..., Path], place: tuple[str, ...]
) -> None:
    folder = new_bundle()
    good = load_bundle(folder)

    def add(manifest: dict[str, Any]) -> None:
        for step in place:
            manifest = manifest[step]
        manifest["pass_logits"] = 3.5

    edit(folder, add)
    assert _loaded(folder) in (None, good)


def test_only_the_version_that_was_asked_for_is_opened() -> None:
    version = load_bundle(DEFAULT_BUNDLE).manifest.version
    assert open_detector(version=version).version == version
    with pytest.raises(BundleError, match="not another-1"):
        open_detector(version="another-1")


def test_the_shipped_bundle_is_whole() -> None:
    manifest = load_bundle(DEFAULT_BUNDLE).manifest
    assert manifest.heads.keys() == manifest.thresholds.keys()
    assert set(manifest.uncovered) == set(LABELS) - manifest.heads.keys()
