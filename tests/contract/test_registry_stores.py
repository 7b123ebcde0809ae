"""All stores keep the same promises: a folder, memory, and S3 as Moto plays it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deploy.registry import open_registry
from deploy.registry.errors import ConflictError, NotThereError, RegistryError, UnreachableError
from deploy.registry.store import Store
from deploy.registry.stores import open_store
from deploy.registry.stores.s3 import open_s3
from tests.registry import FILES, Application, S3Server, content, revision, s3_environment, s3_server, small_bundle


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def s3_url(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in s3_environment(server).items():
        monkeypatch.setenv(name, value)
    bucket = f"registry-{uuid4().hex}"
    open_s3().mkdir(bucket)
    yield f"s3://{bucket}/bundles"
    server.twist = None


@pytest.fixture(params=["local", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "registry")
    return f"memory://{uuid4().hex}" if request.param == "memory" else str(request.getfixturevalue("s3_url"))


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


def test_a_file_is_created_once_and_stays(store: Store) -> None:
    assert store.read("a/b", 100) is None
    assert store.create("a/b", b"first")
    assert not store.create("a/b", b"second")
    assert store.read("a/b", 100) == b"first"
    assert store.read("a/b", 3) == b"fir"


def test_a_file_that_is_replaced_is_there_or_not_before(store: Store) -> None:
    store.replace("hint", b"one")
    store.replace("hint", b"another")
    assert store.read("hint", 100) == b"another"
    assert not store.create("hint", b"late")


def test_an_empty_file_is_a_file(store: Store) -> None:
    assert store.create("a/empty", b"")
    assert store.read("a/empty", 100) == b""
    assert not store.create("a/empty", b"late")


def test_names_are_those_of_files_in_the_folder_alone(store: Store) -> None:
    assert store.names("a") == []
    for name in ("a/two", "a/one", "a/below/three", "b/four"):
        store.create(name, b"x")
    assert store.names("a") == ["one", "two"]


def test_what_one_client_wrote_every_other_one_sees(url: str, store: Store) -> None:
    other = open_store(url)
    assert other.read("a/b", 100) is None
    assert other.names("a") == []
    store.create("a/b", b"x")
    assert other.read("a/b", 100) == b"x"
    assert other.names("a") == ["b"]


def test_of_many_at_the_same_time_one_creates(url: str) -> None:
    stores = [open_store(url) for _ in range(4)]

    def attempt(number: int) -> list[bool]:
        return [stores[number].create(f"race/{n}", f"{number}".encode() * 1000) for n in range(10)]

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(attempt, range(4)))
    for n in range(10):
        (winner,) = (number for number in range(4) if won[number][n])
        assert stores[0].read(f"race/{n}", 10_000) == f"{winner}".encode() * 1000


def test_a_bundle_goes_in_and_comes_out(url: str, tmp_path: Path) -> None:
    version = small_bundle(tmp_path / "bundle")
    registry = open_registry(url)
    with pytest.raises(NotThereError):
        registry.describe(version)
    assert registry.publish(tmp_path / "bundle", {"parent": None}) == version
    assert registry.publish(tmp_path / "bundle", {"parent": "another"}) == version
    assert registry.describe(version).facts == {"parent": None}
    assert registry.versions() == [version]
    assert content(registry.fetch(version, tmp_path / "cache")) == content(tmp_path / "bundle")
    assert (tmp_path / "cache" / version / "NOTES.txt").read_bytes() == FILES["NOTES.txt"]


def test_the_rollout_moves_one_revision_at_a_time(url: str) -> None:
    one, other = open_registry(url), open_registry(url)
    assert one.rollout() is None
    for number in range(1, 8):
        (one if number % 2 else other).move(revision(number))
        assert one.rollout() == other.rollout() == revision(number)
    for number in (1, 7, 9, 20):
        with pytest.raises(ConflictError):
            one.move(revision(number, actor="late"))
    assert [each.revision for each in open_registry(url).rollout_history(3)] == [7, 6, 5]
    assert [each.revision for each in one.rollout_history(99)] == [7, 6, 5, 4, 3, 2, 1]


def test_what_was_killed_while_it_wrote_a_file_is_swept_up(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.create("a", b"x")
    left, new = tmp_path / "tmp" / "left", tmp_path / "tmp" / "new"
    for each in (left, new):
        each.write_bytes(b"half")
    os.utime(left, (0, 0))
    store.create("b", b"x")
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["new"]


def test_a_folder_that_cannot_be_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = open_store(str(tmp_path / "file"))
    assert store.read("a", 1) is None
    with pytest.raises(RegistryError):
        store.create("a", b"x")


@pytest.mark.parametrize("url", ["gs://bucket", "https://example.org", "simplecache::s3://bucket", "zip://a"])
def test_other_stores_are_refused(url: str) -> None:
    with pytest.raises(RegistryError, match="a registry is a folder"):
        open_store(url)


def test_a_store_that_ignores_the_condition_is_refused(server: S3Server, s3_url: str) -> None:
    def ignore(inner: Application, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        environ.pop("HTTP_IF_NONE_MATCH", None)
        return inner(environ, start)

    server.twist = ignore
    with pytest.raises(RegistryError, match="ignores If-None-Match"):
        open_registry(s3_url).move(revision(1))
    assert open_registry(s3_url).rollout() is None


def test_a_move_whose_answer_was_lost_has_happened(server: S3Server, s3_url: str) -> None:
    """S3 has the revision, and says so when it is asked for the second time: it is our own."""
    lost: list[str] = []

    def lose(inner: Application, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        answer = list(inner(environ, start))
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].endswith("1.json") and not lost:
            lost.append(environ["PATH_INFO"])
            start("500 Internal Server Error", [("Content-Type", "application/xml")])
            return [b"<Error><Code>InternalError</Code><Message>lost</Message></Error>"]
        return answer

    def late_start(inner: Application, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        said: list[tuple[Any, ...]] = []
        answer = list(lose(inner, environ, lambda *words: said.append(words)))
        start(*said[-1])
        return answer

    server.twist = late_start
    open_registry(s3_url).move(revision(1))
    assert len(lost) == 1
    server.twist = None
    assert open_registry(s3_url).rollout() == revision(1)
    with pytest.raises(ConflictError):
        open_registry(s3_url).move(revision(1))


@pytest.mark.parametrize(
    ("status", "code", "problem"),
    [("403 Forbidden", "AccessDenied", "AccessDenied"), ("404 Not Found", "NoSuchBucket", "bucket is not there")],
)
def test_what_no_other_try_helps_against(server: S3Server, s3_url: str, status: str, code: str, problem: str) -> None:
    def refuse(inner: Application, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]

    server.twist = refuse
    with pytest.raises(RegistryError, match=problem) as raised:
        open_registry(s3_url).rollout()
    assert not isinstance(raised.value, UnreachableError)


@pytest.mark.parametrize(
    ("status", "code", "answers"),
    [("412 Precondition Failed", "PreconditionFailed", 1), ("409 Conflict", "ConditionalRequestConflict", 5)],
)
def test_refusals_in_the_words_of_other_stores(
    server: S3Server, s3_url: str, status: str, code: str, answers: int
) -> None:
    """Not all say which condition failed; S3 says 409 to one of two at the same moment, who then asks again."""
    open_store(s3_url).create("exclusive", b"")
    store, asked = open_store(s3_url), []

    def refuse(inner: Application, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if not environ["PATH_INFO"].endswith("/mine"):
            return inner(environ, start)
        asked.append(environ["REQUEST_METHOD"])
        start(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]

    server.twist = refuse
    if code == "PreconditionFailed":
        assert not store.create("mine", b"x")
    else:
        with pytest.raises(UnreachableError):
            store.create("mine", b"x")
    assert len(asked) == answers


def test_a_store_that_is_away_is_worth_another_try(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(UnreachableError):
            open_registry(s3_url).rollout()
