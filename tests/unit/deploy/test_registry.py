from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.registry import Registry, open_registry
from deploy.registry.errors import ConflictError, NotThereError, RegistryError, UntrustedError
from deploy.registry.files import MOST_FETCHED, digest_of
from deploy.registry.record import Record, written
from deploy.registry.signing import is_signed, make_key, public_key_of, sign
from deploy.registry.stores import open_store
from detectors.bundle import MANIFEST, FileDigest
from detectors.errors import BundleError
from tests.registry import FILES, NOW, CountingStore, content, revision, small_bundle

KEY = make_key()
PUBLIC = public_key_of(KEY)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    small_bundle(folder)
    return folder


@pytest.fixture
def url() -> str:
    return f"memory://{uuid4().hex}"


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_the_first_facts_stand(url: str, bundle: Path) -> None:
    registry = open_registry(url)
    version = registry.publish(bundle, {"parent": None, "gate": {"passed": True}})
    first = registry.describe(version)
    assert registry.publish(bundle, {"parent": "another"}) == version
    assert registry.describe(version) == first
    assert first.facts == {"parent": None, "gate": {"passed": True}}
    assert first.files == {name: digest_of(data) for name, data in content(bundle).items()}
    assert first.signed_by is None


def test_what_is_no_whole_bundle_is_not_published(tmp_path: Path, bundle: Path) -> None:
    registry = open_registry(str(tmp_path / "registry"))
    shutil.copytree(bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / "NOTES.txt").write_bytes(b"changed")
    with pytest.raises(BundleError):
        registry.publish(tmp_path / "bundle", {})
    assert not (tmp_path / "registry").exists()


def test_names_that_not_every_store_takes_are_not_published(tmp_path: Path) -> None:
    small_bundle(tmp_path / "bundle", files={**FILES, "a name with spaces": b""})
    with pytest.raises(RegistryError, match="names of files"):
        open_registry(str(tmp_path / "registry")).publish(tmp_path / "bundle", {})
    assert not (tmp_path / "registry").exists()


def test_facts_have_their_measure(url: str, bundle: Path) -> None:
    registry = open_registry(url)
    with pytest.raises(RegistryError, match="facts"):
        registry.publish(bundle, {"log": "x" * 5_000_000})
    assert registry.versions() == []


@pytest.mark.parametrize(
    "version",
    ["tiny-0123456789ab", "../../etc/passwd", "tiny", "", "tiny-0123456789ab/..", "tiny-0123456789ab\n"],
)
def test_what_is_not_there_is_not_there(url: str, tmp_path: Path, version: str) -> None:
    registry = open_registry(url)
    with pytest.raises(NotThereError):
        registry.describe(version)
    with pytest.raises(NotThereError):
        registry.fetch(version, tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_versions_share_files(tmp_path: Path, bundle: Path) -> None:
    registry = open_registry(str(tmp_path / "registry"))
    registry.publish(bundle, {})
    before = files_of(tmp_path / "registry")
    small_bundle(tmp_path / "other", thresholds={"misalignment": 0.6})
    version = registry.publish(tmp_path / "other", {})
    new = files_of(tmp_path / "registry").keys() - before.keys()
    manifest = digest_of((tmp_path / "other" / MANIFEST).read_bytes()).sha256
    assert new == {f"versions/{version}.jsonl", f"files/{manifest}"}


def test_damaged_and_left_over_files_are_put_right_by_publishing(tmp_path: Path, bundle: Path) -> None:
    registry = open_registry(str(tmp_path / "registry"))
    version = registry.publish(bundle, {})
    whole = files_of(tmp_path / "registry")
    (tmp_path / "registry" / "versions" / f"{version}.jsonl").unlink()
    for name in whole:
        if name.startswith("files/"):
            (tmp_path / "registry" / name).write_bytes(b"damaged")
    assert registry.publish(bundle, {}) == version
    assert content(registry.fetch(version, tmp_path / "cache")) == content(bundle)


# Signatures


def test_only_what_the_key_signed_is_read(tmp_path: Path, bundle: Path) -> None:
    url = str(tmp_path / "registry")
    version = open_registry(url, signing_key=KEY).publish(bundle, {})
    trusting = open_registry(url, public_key=PUBLIC)
    assert trusting.describe(version).signed_by == PUBLIC
    assert content(trusting.fetch(version, tmp_path / "cache")) == content(bundle)
    other = open_registry(url, public_key=public_key_of(make_key()))
    for ask in (lambda: other.describe(version), lambda: other.fetch(version, tmp_path / "cache")):
        with pytest.raises(UntrustedError, match="another key"):
            ask()


def test_what_is_not_signed_is_not_read_where_it_must_be(url: str, tmp_path: Path, bundle: Path) -> None:
    version = open_registry(url).publish(bundle, {})
    trusting = open_registry(url, public_key=PUBLIC)
    with pytest.raises(UntrustedError, match="not signed"):
        trusting.fetch(version, tmp_path)
    with pytest.raises(UntrustedError, match="not signed"):
        open_registry(url, signing_key=KEY).publish(bundle, {})


def test_keys_can_be_changed_one_after_the_other(url: str, tmp_path: Path, bundle: Path) -> None:
    new = make_key()
    old_version = open_registry(url, signing_key=KEY).publish(bundle, {})
    small_bundle(tmp_path / "other", metrics={"more": 1})
    new_version = open_registry(url, signing_key=new).publish(tmp_path / "other", {})
    both = open_registry(url, public_key=f"{PUBLIC}, {public_key_of(new)}")
    assert both.describe(old_version).signed_by == PUBLIC
    assert both.describe(new_version).signed_by == public_key_of(new)


def test_a_signed_record_stands_for_its_own_version_alone(url: str, tmp_path: Path, bundle: Path) -> None:
    version = open_registry(url, signing_key=KEY).publish(bundle, {})
    store = open_store(url)
    data = store.read(f"versions/{version}.jsonl", 10**6)
    assert data is not None
    store.create("versions/tiny-0123456789ab.jsonl", data)
    with pytest.raises(UntrustedError, match="of another version"):
        open_registry(url, public_key=PUBLIC).fetch("tiny-0123456789ab", tmp_path)


@pytest.mark.parametrize(
    "key", ["", "x", "AAAA", "é" * 44, PUBLIC + "A"], ids=["none", "short", "too short", "no base64", "long"]
)
def test_what_is_no_key_is_refused(url: str, key: str) -> None:
    with pytest.raises(RegistryError, match="32 bytes"):
        public_key_of(key)
    with pytest.raises(RegistryError, match="32 bytes"):
        open_registry(url, public_key=key or ",")


def test_whoever_signs_must_be_trusted_here(url: str) -> None:
    with pytest.raises(UntrustedError):
        open_registry(url, signing_key=make_key(), public_key=PUBLIC)


@given(st.binary(max_size=200), st.binary(max_size=200), st.text(max_size=100))
def test_a_signature_is_of_these_bytes_and_no_others(one: bytes, other: bytes, text: str) -> None:
    signature = sign(KEY, one)
    assert is_signed(PUBLIC, one, signature)
    assert is_signed(PUBLIC, other, signature) == (one == other)
    assert not is_signed(PUBLIC, one, text)
    assert not is_signed(public_key_of(make_key()), one, signature)


# Tampering


@given(data=st.data(), trusts=st.booleans())
def test_a_flipped_byte_anywhere_is_found_or_means_nothing(
    tmp_path_factory: pytest.TempPathFactory, bundle: Path, data: st.DataObject, trusts: bool
) -> None:
    cache, url = tmp_path_factory.mktemp("cache"), f"memory://{uuid4().hex}"
    version = open_registry(url, signing_key=KEY).publish(bundle, {"run": 7})
    store = open_store(url)
    name = data.draw(st.sampled_from([f"versions/{version}.jsonl", *(f"files/{n}" for n in store.names("files"))]))
    raw = bytearray(store.read(name, 10**6) or b"\0")
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    store.replace(name, bytes(raw))
    registry = open_registry(url, public_key=PUBLIC if trusts else None)
    try:
        fetched = registry.fetch(version, cache)
    except UntrustedError:
        assert not (cache / version).exists()
    else:
        assert content(fetched) == content(bundle)
        assert registry.describe(version).facts == {"run": 7}


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/b", "..", ".", "", "a\\b", ".hidden", "a\0b"])
def test_names_that_lead_elsewhere_are_refused_signed_or_not(url: str, tmp_path: Path, bundle: Path, name: str) -> None:
    digests = {each: digest_of(data).model_dump() for each, data in content(bundle).items()}
    digests[name] = digest_of(b"x").model_dump()
    version = json.loads((bundle / MANIFEST).read_bytes())["version"]
    line = json.dumps({"version": version, "files": digests, "facts": {}, "published_at": NOW.isoformat()}).encode()
    store = open_store(url)
    open_registry(f"{url}-other").publish(bundle, {})
    signature = json.dumps({"key": PUBLIC, "signature": sign(KEY, line)}).encode()
    store.create(f"versions/{version}.jsonl", line + b"\n" + signature)
    store.create(f"files/{digest_of(b'x').sha256}", b"x")
    for data in content(bundle).values():
        store.create(f"files/{digest_of(data).sha256}", data)
    with pytest.raises(UntrustedError, match="cannot be read"):
        open_registry(url, public_key=PUBLIC).fetch(version, tmp_path / "in" / "cache")
    assert files_of(tmp_path) == {}


def _recorded(url: str, version: str, files: dict[str, FileDigest]) -> None:
    record = Record(version=version, files=files, facts={}, published_at=NOW)
    open_store(url).create(f"versions/{version}.jsonl", written(record, None))


def test_a_bundle_under_another_versions_name_is_refused(url: str, tmp_path: Path, bundle: Path) -> None:
    open_registry(url).publish(bundle, {})
    _recorded(url, "tiny-0123456789ab", {name: digest_of(data) for name, data in content(bundle).items()})
    with pytest.raises(UntrustedError, match="of another version"):
        open_registry(url).fetch("tiny-0123456789ab", tmp_path / "cache")
    assert files_of(tmp_path) == {}


def test_a_version_that_is_there_with_other_files_is_a_conflict(url: str, bundle: Path) -> None:
    version = json.loads((bundle / MANIFEST).read_bytes())["version"]
    _recorded(url, version, {MANIFEST: digest_of(b"another")})
    with pytest.raises(ConflictError, match="other files"):
        open_registry(url).publish(bundle, {})


@pytest.mark.parametrize("change", [b"", b"x", None], ids=["emptied", "longer", "missing"])
def test_a_file_that_is_not_what_it_was(tmp_path: Path, bundle: Path, change: bytes | None) -> None:
    registry = open_registry(str(tmp_path / "registry"))
    version = registry.publish(bundle, {})
    path = tmp_path / "registry" / "files" / digest_of(FILES["encoder.onnx"]).sha256
    path.unlink()
    if change is not None:
        path.write_bytes(FILES["encoder.onnx"] + change if change else b"")
    with pytest.raises(UntrustedError, match=r"encoder\.onnx"):
        registry.fetch(version, tmp_path / "cache")
    assert not (tmp_path / "cache" / version).exists()


# The cache


def test_what_was_fetched_is_there_while_the_store_is_away(tmp_path: Path, bundle: Path) -> None:
    version = open_registry(str(tmp_path / "registry"), signing_key=KEY).publish(bundle, {})
    open_registry(str(tmp_path / "registry"), public_key=PUBLIC).fetch(version, tmp_path / "cache")
    away = CountingStore(open_store("memory://empty"))
    again = Registry(away, trusted=(PUBLIC,)).fetch(version, tmp_path / "cache")
    assert content(again) == content(bundle)
    assert away.asked == {}
    other = Registry(away, trusted=(public_key_of(make_key()),))
    with pytest.raises(NotThereError):
        other.fetch(version, tmp_path / "cache")


@pytest.mark.parametrize("name", [*FILES, MANIFEST, "../record"])
@pytest.mark.parametrize("trusts", [True, False])
def test_a_damaged_cache_is_fetched_anew(tmp_path: Path, bundle: Path, name: str, trusts: bool) -> None:
    registry = open_registry(str(tmp_path / "registry"), signing_key=KEY, public_key=PUBLIC if trusts else None)
    version = registry.publish(bundle, {})
    folder = registry.fetch(version, tmp_path / "cache")
    path = tmp_path / "cache" / f"{version}.jsonl" if name == "../record" else folder / name
    path.write_bytes(b"damaged")
    assert content(registry.fetch(version, tmp_path / "cache")) == content(bundle)
    assert sorted(each.name for each in (tmp_path / "cache").iterdir()) == [version, f"{version}.jsonl"]


def test_of_what_was_fetched_the_versions_used_last_stay(url: str, tmp_path: Path) -> None:
    registry, cache = open_registry(url), tmp_path / "cache"
    versions = []
    for number in range(MOST_FETCHED + 2):
        versions.append(small_bundle(tmp_path / str(number), training={"number": number}))
        registry.publish(tmp_path / str(number), {})
    for number, version in enumerate(versions[:-2]):
        registry.fetch(version, cache)
        os.utime(cache / f"{version}.jsonl", (number, number))
    registry.fetch(versions[0], cache)  # in use again
    for version in versions[-2:]:
        registry.fetch(version, cache)
    stay = {versions[0], *versions[3:]}
    assert {path.name for path in cache.iterdir() if path.is_dir()} == stay
    assert {path.name for path in cache.iterdir() if path.is_file()} == {f"{version}.jsonl" for version in stay}
    assert content(registry.fetch(versions[1], cache)) == content(tmp_path / "1")


def test_what_a_killed_fetch_left_is_no_obstacle(tmp_path: Path, bundle: Path) -> None:
    registry = open_registry(str(tmp_path / "registry"))
    version = registry.publish(bundle, {})
    half = tmp_path / "cache" / version
    half.mkdir(parents=True)
    (half / MANIFEST).write_bytes((bundle / MANIFEST).read_bytes())
    assert content(registry.fetch(version, tmp_path / "cache")) == content(bundle)


# As many as there are, it takes as long


def _asked(store: CountingStore, do: Callable[[Registry], Any]) -> dict[str, int]:
    store.asked.clear()
    do(Registry(store))
    return dict(store.asked)


def _costs(url: str, many: int, bundle: Path, folder: Path) -> list[dict[str, int]]:
    """Store operations of each verb, in a registry with so many versions and revisions."""
    inner = open_store(url)
    for number in range(many):
        inner.create(f"versions/other-{number:012x}.jsonl", b"{}")
    registry = Registry(inner)
    for number in range(1, many + 1):
        registry.move(revision(number))
    store = CountingStore(inner)
    version = json.loads((bundle / MANIFEST).read_bytes())["version"]
    verbs: list[Callable[[Registry], Any]] = [
        lambda registry: registry.publish(bundle, {}),
        lambda registry: registry.publish(bundle, {}),
        lambda registry: registry.describe(version),
        lambda registry: registry.fetch(version, folder / "cache"),
        lambda registry: registry.rollout(),
        lambda registry: [registry.rollout() for _ in range(10)],
        lambda registry: registry.rollout_history(5),
        lambda registry: registry.move(revision(many + 1)),
        lambda registry: registry.rollout(),
    ]
    return [_asked(store, verb) for verb in verbs]


def test_ten_thousand_versions_and_revisions_cost_what_ten_do(tmp_path: Path, bundle: Path) -> None:
    few = _costs(f"memory://{uuid4().hex}", 10, bundle, tmp_path / "few")
    many = _costs(f"memory://{uuid4().hex}", 10_000, bundle, tmp_path / "many")
    assert few == many
    assert few[4] == {"read": 3}  # the hint, the revision that it names, and that there is no other behind
    assert few[5] == {"read": 12}  # one read more for each look of the same reader
    assert few[7] == {"read": 1, "create": 1, "replace": 1}
