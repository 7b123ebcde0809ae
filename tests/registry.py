"""Small bundles, stores that count or fail, and an S3 of our own, for tests of the registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from deploy.registry.store import Store
from deploy.rollout import steps
from deploy.rollout.state import Rollout, first
from detectors.bundle import ENCODER, SCREEN, TOKENIZER, write_bundle
from detectors.calibration import Head, LabelHeads
from detectors.features import FEATURE_NAMES
from detectors.taxonomy import LABELS, MISALIGNMENT

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FILES = {TOKENIZER: b'{"tokenizer": 1}', SCREEN: b"screen bytes", ENCODER: bytes(range(40)), "NOTES.txt": b""}
_HEADS = LabelHeads(
    screen=Head(screen=(1.0, 0.0, 0.0), intercept=0.0),
    ensemble=Head(encoder=(1.0, 0.0, 0.0), intercept=0.0),
    encoder_alone=Head(encoder=(1.0, 0.0, 0.0), intercept=0.0),
)


def small_bundle(folder: Path, *, files: dict[str, bytes] | None = None, **changes: Any) -> str:
    """Writes a valid bundle that cannot judge to a new folder. Returns its version."""
    description = {
        "name": "tiny",
        "labels": LABELS,
        "features": FEATURE_NAMES,
        "max_tokens": 64,
        "overlap": 8,
        "context_chars": 300,
        "pass_logit": 0.0,
        "heads": {MISALIGNMENT: _HEADS},
        "thresholds": {MISALIGNMENT: 0.5},
        "false_positive_budget": 0.01,
        "data": {},
        "training": {},
        "metrics": {},
    }
    return write_bundle(folder, files or FILES, **{**description, **changes}).version


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def revision(number: int, *, actor: str = "test") -> Rollout:
    """Revision 1 starts an installation, even ones start a candidate, odd ones roll it back."""
    began = first("stable-1", NOW, actor=actor).model_copy(update={"revision": max(1, number - 1)})
    if number == 1:
        return began
    started = steps.start(began, f"candidate-{number}", actor=actor, reason="a test", at=NOW)
    if number % 2 == 0:
        return started
    before = started.model_copy(update={"revision": number - 1})
    return steps.roll_back(before, actor=actor, reason="a test", at=NOW)


class CountingStore:
    """How often which operation was asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    def read(self, name: str, limit: int) -> bytes | None:
        self.asked["read"] += 1
        return self._store.read(name, limit)

    def create(self, name: str, data: bytes) -> bool:
        self.asked["create"] += 1
        return self._store.create(name, data)

    def replace(self, name: str, data: bytes) -> None:
        self.asked["replace"] += 1
        self._store.replace(name, data)

    def names(self, folder: str) -> list[str]:
        self.asked["names"] += 1
        return self._store.names(folder)


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Twist = Callable[[Application, dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class S3Server:
    """Moto's S3 on a port of its own. It looks before it writes, so that requests must come one at a time to be as
    atomic as those of a real one. `twist` answers in its place.
    """

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self.twist: Twist | None = None
        self._inner: Application = DomainDispatcherApplication(create_backend_app)
        self._lock = Lock()
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            if self.twist is not None:
                return list(self.twist(self._inner, environ, start_response))
            return list(self._inner(environ, start_response))


@contextmanager
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    try:
        yield server
    finally:
        server.stop()


def s3_environment(server: S3Server) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }
