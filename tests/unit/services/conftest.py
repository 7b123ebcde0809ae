"""Builders shared by the tests of `services`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.bundle import TOKENIZER, Bundle, load_bundle
from detectors.calibration import Head, LabelHeads
from detectors.classifier import Batcher, ClassifierOutput, WindowBatch
from detectors.detector import Detector
from detectors.ensemble import Cascade
from detectors.features import StructuralFeatures
from detectors.loading import DEFAULT_BUNDLE
from detectors.taxonomy import LABELS, MISALIGNMENT
from detectors.tokens import TextTokenizer
from detectors.verdict import Status, Verdict, verdict_id
from detectors.windows import Windower
from services.records import Record
from services.schema import upgrade
from services.store import Store, open_engine

ALARM_WORD = "blackmail"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are what a test says, not what the machine's environment happens to hold."""
    for name in [name for name in os.environ if name.startswith("PLUMBLINE_")]:
        monkeypatch.delenv(name)


class WordClassifier:
    """Adds 6 to the log-odds of every label for each occurrence of one token."""

    version = "1"

    def __init__(self, name: str, token: int) -> None:
        self.name = name
        self._token = token

    def score(self, batch: WindowBatch) -> ClassifierOutput:
        hits = ((batch.input_ids == self._token) & (batch.agent_mask > 0)).astype(np.float32) * 6
        contributions = np.repeat(hits[:, :, None], len(LABELS), axis=2)
        return ClassifierOutput(contributions.sum(axis=1) - 3, contributions)


@pytest.fixture(scope="session")
def shipped_bundle() -> Bundle:
    return load_bundle(DEFAULT_BUNDLE)


@pytest.fixture(scope="session")
def word_detector(shipped_bundle: Bundle) -> Detector:
    """Flags `coercion` and overall misalignment wherever it reads "blackmail". Quick, and its scores never change."""
    tokenizer = TextTokenizer(shipped_bundle.files[TOKENIZER])
    token = int(tokenizer.plain(ALARM_WORD)[-1])
    heads = LabelHeads(
        screen=Head(screen=(1.0, 0.0, 0.0), intercept=0.0),
        ensemble=Head(encoder=(1.0, 0.0, 0.0), intercept=0.0),
        encoder_alone=Head(encoder=(1.0, 0.0, 0.0), intercept=0.0),
    )
    labels = ("coercion", MISALIGNMENT)
    manifest = shipped_bundle.manifest.model_copy(
        update={
            "version": "words-1",
            "heads": dict.fromkeys(labels, heads),
            "thresholds": dict.fromkeys(labels, 0.5),
        }
    )
    cascade = Cascade(
        WordClassifier("screen", token),
        WordClassifier("encoder", token),
        Batcher(StructuralFeatures(tokenizer), pad_id=tokenizer.pad_id, size=16),
        pass_logit=0.0,
        pass_label=LABELS.index(MISALIGNMENT),
        labels=len(LABELS),
        audit_share=0.0,
    )
    return Detector(manifest, Windower(tokenizer, max_tokens=64, overlap=8, max_windows=8, context_chars=300), cascade)


@pytest.fixture
def make_record(now: datetime) -> Callable[..., Record]:
    def make(value: bytes | None, **fields: Any) -> Record:
        place = {"topic": "plumbline.transcripts", "partition": 0, "offset": 0, "key": b"default/c1", "timestamp": now}
        return Record(value=value, **{**place, **fields})

    return make


@pytest.fixture
def make_verdict(now: datetime) -> Callable[..., Verdict]:
    """Verdicts with defaults for all that a test does not care about; the id follows from the event id."""

    def make(event_id: str = "e1", **fields: Any) -> Verdict:
        tenant, conversation = fields.get("tenant_id", "default"), fields.get("conversation_id", "c1")
        body = {
            "verdict_id": verdict_id(tenant, conversation, event_id, "words-1"),
            "event_id": event_id,
            "tenant_id": tenant,
            "conversation_id": conversation,
            "seq": 0,
            "status": Status.SCORED,
            "misalignment": 0.25,
            "bundle_version": "words-1",
            "occurred_at": now,
            "decided_at": now,
        }
        return Verdict.model_validate({**body, **fields})

    return make


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the current schema, to be copied: running the migrations for every test is slow."""
    path = tmp_path_factory.mktemp("schema") / "empty.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def database_url(migrated_database: Path, tmp_path: Path) -> str:
    """The URL of an empty database of the test's own."""
    path = tmp_path / "plumbline.db"
    shutil.copy(migrated_database, path)
    return f"sqlite:///{path}"


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    engine = open_engine(database_url)
    yield Store(engine)
    engine.dispose()
